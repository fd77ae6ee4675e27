//! What goes wrong with an engine, said so that people understand it.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use bollard::errors::Error;
use windlass_core::reason;

/// The error and what lies below it: the outermost alone is often no more than "client error".
#[must_use]
pub fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => return message.clone(),
        Error::IOError { err } => return plain(err),
        Error::SocketNotFoundError(_) => return plain(&ErrorKind::NotFound.into()),
        Error::RequestTimeoutError => return "it gave no answer in time".to_owned(),
        _ => {}
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {}", reason::plain(&text));
        }
        source = error.source();
    }
    words
}

/// Why there is no connection, without the number that the system has for it.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such socket".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => reason::plain(&error.to_string()),
    }
}

/// Whether nobody answered: what was asked for may have been done or not.
#[must_use]
pub const fn is_unreachable(error: &Error) -> bool {
    matches!(
        error,
        Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. }
            | Error::RequestTimeoutError
            | Error::SocketNotFoundError(_)
    )
}

/// The HTTP status of an answer that is a refusal.
#[must_use]
pub const fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error { Some(*status_code) } else { None }
}
