//! Bodies on disk while they come: files without a name, which are gone with whoever holds them. Together they are
//! bounded: when there are too many bytes, the one that has been coming for longest gives way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All bodies on disk together, about.
const MOST: usize = 512 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    bodies: BTreeMap<u64, (usize, CancellationToken)>,
}

/// One body's place on disk.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    open: Arc<Mutex<Open>>,
    /// When others need the room more.
    pub(crate) taken_away: CancellationToken,
}

impl Spool {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: Arc::default() }
    }

    /// A file for its owner's eyes only.
    pub(crate) fn file(&self) -> impl FnOnce() -> io::Result<File> + Send + 'static {
        let folder = self.folder.clone();
        move || tempfile::tempfile_in(folder)
    }

    pub(crate) fn place(&self) -> Place {
        let mut open = lock(&self.open);
        let number = open.next;
        open.next += 1;
        let taken_away = CancellationToken::new();
        open.bodies.insert(number, (0, taken_away.clone()));
        Place { number, open: Arc::clone(&self.open), taken_away }
    }
}

impl Place {
    /// So many bytes more are about to be written.
    pub(crate) fn grow(&self, bytes: usize) {
        let mut open = lock(&self.open);
        if let Some((size, _)) = open.bodies.get_mut(&self.number) {
            *size += bytes;
        }
        let there = |open: &Open| -> usize {
            open.bodies.values().filter(|(_, gone)| !gone.is_cancelled()).map(|(size, _)| size).sum()
        };
        while there(&open) > MOST {
            let mut others = open.bodies.iter().filter(|(number, _)| **number != self.number);
            let Some((_, (_, oldest))) = others.find(|(_, (size, gone))| *size > 0 && !gone.is_cancelled()) else {
                return;
            };
            oldest.cancel();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).bodies.remove(&self.number);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_that_has_been_coming_for_longest_gives_way() {
        let spool = Spool::new(Path::new("/nowhere"));
        let places: Vec<Place> = (0..3).map(|_| spool.place()).collect();
        places[0].grow(MOST / 2);
        places[1].grow(MOST / 2);
        assert!(places.iter().all(|place| !place.taken_away.is_cancelled()));
        places[2].grow(1);
        let gone: Vec<bool> = places.iter().map(|place| place.taken_away.is_cancelled()).collect();
        assert_eq!(gone, [true, false, false]);
    }

    #[test]
    fn a_body_that_is_done_leaves_its_room() {
        let spool = Spool::new(Path::new("/nowhere"));
        let first = spool.place();
        spool.place().grow(MOST);
        first.grow(MOST);
        assert!(!first.taken_away.is_cancelled());
    }
}
