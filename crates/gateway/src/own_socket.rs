//! A Unix socket that is its owner's alone, and whose file goes with it unless somebody else has the path by then.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use windlass_listen::Seldom;

/// For its owner only.
const SOCKET_MODE: u32 = 0o600;
/// After the system had no file left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bound socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct OwnSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum Unbound {
    InUse,
    Failed(io::Error),
}

impl OwnSocket {
    /// Takes the path, from a dead gateway too, but never from a live one.
    pub(crate) fn bind(path: &Path) -> Result<Self, Unbound> {
        match StdUnixStream::connect(path) {
            Ok(_) => return Err(Unbound::InUse),
            Err(error) if is_nobody_there(&error) => {}
            Err(error) => return Err(Unbound::Failed(error)),
        }
        Self::replace(path).map_err(Unbound::Failed)
    }

    /// Takes the path, whoever has it. Under another name first: at its own it never is without an owner or open to
    /// others.
    pub(crate) fn replace(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let mut fresh = path.to_owned().into_os_string();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        if fresh.exists() {
            fs::remove_file(&fresh)?;
        }
        let listener = UnixListener::bind(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(SOCKET_MODE))?;
        fs::rename(&fresh, path)?;
        Ok(Self { listener, path: path.to_owned(), inode: fs::metadata(path)?.ino() })
    }

    /// Has conversations until the end, which is theirs too. With `look`, takes the path back if it leads elsewhere.
    pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
        mut self,
        converse: impl Fn(UnixStream) -> F,
        look: &Notify,
        end: CancellationToken,
    ) {
        let failing = Seldom::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = look.notified() => {
                    self.take_back();
                    continue;
                }
                () = end.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(end.clone().run_until_cancelled_owned(converse(stream)));
                }
                Err(error) => {
                    if let Some(times) = failing.count() {
                        let path = self.path.display();
                        tracing::warn!(%error, times, "connections to {path} cannot be accepted; it is tried again and again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take_back(&mut self) {
        if self.is_in_place() {
            return;
        }
        match Self::replace(&self.path) {
            Ok(again) => *self = again,
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%error, "{path} was taken by a gateway that is gone, and cannot be taken back; restart this one");
            }
        }
    }

    /// Whether the path still leads here.
    fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
    }
}

/// Made for its owner only. Where everybody may rename what is in it, the socket would be everybody's.
fn make_folder(folder: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = fs::metadata(folder)?.mode();
    if mode & 0o002 != 0 && mode & STICKY == 0 {
        let why = format!("everybody may exchange what is in {}: take that away with `chmod o-w`", folder.display());
        return Err(io::Error::other(why));
    }
    Ok(())
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // By now it may be a successor's.
        if self.is_in_place()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, socket.path = %self.path.display(), "socket left behind");
        }
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
