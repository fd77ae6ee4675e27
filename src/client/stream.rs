//! Server-sent events as typed messages.

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Response;
use serde::de::DeserializeOwned;
use url::Url;

use super::ClientError;

/// One message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent<T> {
    /// Its place in the sequence, where the stream can be taken up again.
    pub(crate) id: Option<u64>,
    pub(crate) message: T,
}

/// Messages as they come.
pub(super) type Messages<T> = BoxStream<'static, Result<Sent<T>, ClientError>>;

/// The messages until the stream ends. What this version does not know is passed over: a newer service may say more.
pub(super) fn messages<T: DeserializeOwned + Send + 'static>(response: Response, server: Url) -> Messages<T> {
    let events = response.bytes_stream().eventsource();
    let messages = events.filter_map(move |event| {
        let message = match event {
            Ok(event) => {
                serde_json::from_str(&event.data).ok().map(|message| Ok(Sent { id: event.id.parse().ok(), message }))
            }
            Err(EventStreamError::Transport(error)) => Some(Err(ClientError::from_reqwest(&server, &error))),
            Err(EventStreamError::Utf8(_) | EventStreamError::Parser(_)) => Some(Err(ClientError::BrokenOff {
                server: server.clone(),
                reason: "what it sends is not a stream of events".to_owned(),
            })),
        };
        std::future::ready(message)
    });
    messages.boxed()
}

/// Whether trying again may help.
pub(crate) fn is_transient(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::BrokenOff { .. } => true,
        ClientError::Problem(problem) => problem.status >= 500 || problem.status == 429,
        ClientError::Foreign { status, .. } => status.is_server_error() || status.as_u16() == 429,
        ClientError::Garbled { .. } => false,
    }
}
