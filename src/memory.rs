//! Memory that goes back to the system when it is free.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads before the first line of a program runs.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks from here on are pages of their own, which the system has back as soon as they are free. By itself glibc raises
/// this bound to the largest block that it has seen, keeps such blocks in each thread's arena, and after some large
/// deliveries at once the service had hundreds of megabytes for good.
const PAGES_OF_THEIR_OWN: &str = "glibc.malloc.mmap_threshold=1048576";

/// Starts this program again in its own place, with that bound. Comes back when it has it, when the operator has set
/// something of their own, or when it cannot be.
pub(crate) fn give_back() {
    if env::var_os(TUNABLES).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It returns only where it has failed; then more memory is kept, and that is all.
    let _ = again.args(arguments).env(TUNABLES, PAGES_OF_THEIR_OWN).exec();
}
