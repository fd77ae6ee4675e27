//! One at a time has to do with an image.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Turn = tokio::sync::Mutex<()>;

/// Whose turn it is, by the image's reference. Nothing is kept of images that nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<String, Weak<Turn>>>);

impl Pulls {
    /// Waits for its turn, which lasts until the guard is dropped.
    pub(crate) async fn turn(&self, reference: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(reference).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::default());
                turns.insert(reference.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_image_is_for_one_at_a_time_and_others_do_not_wait() {
        let pulls = Pulls::default();
        let first = pulls.turn("a").await;
        assert!(futures_util::FutureExt::now_or_never(pulls.turn("a")).is_none());
        drop(pulls.turn("b").await);
        drop(first);
        drop(pulls.turn("a").await);
        drop(pulls.turn("c").await);
        assert_eq!(pulls.0.lock().unwrap().len(), 1, "what is over is forgotten");
    }
}
