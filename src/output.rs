//! The only place that writes to the terminal: results to standard output, progress and errors to standard error. Colours
//! are left out where `NO_COLOR` or a pipe asks for it.

mod finding;
#[cfg(feature = "service")]
mod log;
mod progress;
mod table;
mod when;

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CommandError;
use crate::theirs;

pub(crate) use crate::style::{BOLD, BOLD_YELLOW, DIM, GREEN, RED, YELLOW};
pub(crate) use crate::theirs::theirs;
pub(crate) use finding::Finding;
#[cfg(feature = "service")]
pub(crate) use log::start_log;
pub(crate) use progress::Progress;
pub(crate) use table::Table;
pub(crate) use when::{ago, elapsed, until};

/// A line, or several, of what was asked for.
pub(crate) fn result(text: &str) -> Result<(), CommandError> {
    written(writeln!(anstream::stdout().lock(), "{text}"))
}

/// A line that somebody's command wrote: the result of running it.
pub(crate) fn line_of_theirs(text: &str) -> Result<(), CommandError> {
    if theirs::go_as_they_are() { raw(format!("{text}\n").as_bytes()) } else { result(&theirs(text)) }
}

/// What was asked for, for programs.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| as_json(&error))?;
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// One object of a stream of them.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string(value).map_err(|error| as_json(&error))?;
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// Bytes as they are.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), CommandError> {
    written(io::stdout().lock().write_all(bytes))
}

/// Something said beside the result. Nobody is left to hear it if that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Why the command did not do what it was asked to.
pub(crate) fn error(error: &CommandError) {
    if let Some(text) = error.render() {
        note(&text);
    }
}

/// Standard output for a story that is told line by line, and goes on when nobody listens any more: what it made must
/// still be removed.
#[cfg(feature = "demo")]
#[derive(Debug)]
pub(crate) struct Printer;

#[cfg(feature = "demo")]
impl Printer {
    pub(crate) fn line(&self, text: &str) {
        let _ = result(text);
    }
}

/// Whether colours are wanted on standard error.
#[cfg(feature = "service")]
fn colours_on_stderr() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

fn written(result: io::Result<()>) -> Result<(), CommandError> {
    result.and_then(|()| io::stdout().flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CommandError::reader_gone(),
        _ => CommandError::failed("cannot write the result").caused_by(&error),
    })
}

fn as_json(error: &serde_json::Error) -> CommandError {
    CommandError::failed("cannot write the result as JSON").caused_by(error)
}
