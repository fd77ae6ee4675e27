//! The command that shows it all.

use clap::Args;

/// See it work: a merged commit's way into production on this machine, against a stand-in GitHub
///
/// Needs a Docker Engine and nothing else, and leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass demo            stays up until Ctrl-C
  windlass demo --once     exits, with 0 only if all that it tells of held")]
pub(crate) struct DemoArguments {
    /// Exit at the end of the story
    #[arg(long)]
    pub(crate) once: bool,
}
