//! How one gateway follows another without anybody noticing. A newcomer finds the door of the one that runs beside its
//! control socket, gets its listening sockets and what is not on disk, serves on them, and says so; only then the one
//! before accepts no more. What that one still has under way it keeps, and until the last of it has ended it tells the
//! newcomer of it and does as that says: a target is drained when nobody sends to it any more, in whichever process.

mod door;
mod estate;
mod follower;
mod successor;

use std::path::{Path, PathBuf};

pub(crate) use door::serve;
pub(crate) use estate::Estate;
pub(crate) use follower::follow;
pub(crate) use successor::{TakeOverError, Taken, take_over};

/// What HTTP comes in by.
pub(crate) const HTTP: &str = "http";
/// The same by TLS,
pub(crate) const HTTPS: &str = "https";
/// and those who ask for numbers.
pub(crate) const METRICS: &str = "metrics";

/// Where the gateway with this control socket hands itself over.
pub(crate) fn door_of(control: &Path) -> PathBuf {
    let mut door = control.to_owned().into_os_string();
    door.push(".handover");
    door.into()
}
