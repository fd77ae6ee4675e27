//! `windlass completions`

use clap::CommandFactory;

use crate::cli::{Cli, Completions};
use crate::error::{CommandError, Status};
use crate::output;

pub(crate) fn run(arguments: &Completions) -> Result<Status, CommandError> {
    // Written to memory first: a pipe that closes early must not end in a panic.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "windlass", &mut script);
    output::raw(&script)?;
    Ok(Status::Done)
}
