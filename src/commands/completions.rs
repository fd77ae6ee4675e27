//! `windlass completions`

use clap::Args;

use crate::error::{CommandError, Status};
use crate::output;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass
  windlass completions zsh > ~/.zfunc/_windlass")]
pub(crate) struct Completions {
    /// Which
    shell: clap_complete::Shell,
}

pub(crate) fn run(arguments: &Completions, mut windlass: clap::Command) -> Result<Status, CommandError> {
    // Written to memory first: a pipe that closes early must not end in a panic.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut windlass, "windlass", &mut script);
    output::raw(&script)?;
    Ok(Status::Done)
}
