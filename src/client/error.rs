//! Why a call came to nothing.

use std::error::Error as _;

use reqwest::Response;
use reqwest::StatusCode;
use url::Url;
use windlass_core::problem::Problem;
use windlass_core::reason;

use crate::error::{CommandError, Status};

/// A call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection.
    #[error("the server at {server} cannot be reached")]
    Unreachable { server: Url, reason: String },
    /// No answer, or it broke off.
    #[error("the connection to the server at {server} broke off")]
    BrokenOff { server: Url, reason: String },
    /// The service said no.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// Something answers that is not a service of ours.
    #[error("the server at {server} answered {path} with {status}, and not as Windlass does")]
    Foreign { server: Url, path: String, status: StatusCode },
    /// It says what this version does not understand.
    #[error("the answer of the server at {server} to {path} cannot be understood")]
    Garbled { server: Url, path: String, source: serde_json::Error },
}

impl ClientError {
    pub(crate) fn from_reqwest(server: &Url, error: &reqwest::Error) -> Self {
        let (server, reason) = (server.clone(), innermost(error));
        if error.is_connect() { Self::Unreachable { server, reason } } else { Self::BrokenOff { server, reason } }
    }

    pub(super) async fn from_answer(server: &Url, path: &str, response: Response) -> Self {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(problem) => Self::Problem(Box::new(problem)),
            Err(_) => Self::Foreign { server: server.clone(), path: path.to_owned(), status },
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let shown = Self::from_chain(Status::Failed, &error);
        match error {
            ClientError::Unreachable { reason, .. } => shown
                .coded("server_unreachable")
                .because(reason)
                .hint("is `windlass serve` running there, and is --server (or WINDLASS_SERVER) its address?"),
            ClientError::BrokenOff { reason, .. } => {
                shown.coded("server_unreachable").because(reason).hint("try again")
            }
            ClientError::Problem(problem) => (*problem).into(),
            ClientError::Foreign { .. } => {
                shown.coded("server_foreign").hint("is --server (or WINDLASS_SERVER) the address of the service?")
            }
            ClientError::Garbled { .. } => shown
                .coded("version_unsupported")
                .hint("`windlass doctor` says whether this version and the server's fit together"),
        }
    }
}

/// The reason itself: what lies around it only says that a request failed. Addresses are left out of it, since they may
/// hold what is secret.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "there was no answer in time".to_owned();
    }
    error.source().map_or_else(|| "the request was not sent".to_owned(), reason::innermost)
}
