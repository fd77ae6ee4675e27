//! A delivery's raw bytes: no more of them than there is room for, and none that nobody sends.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;

use super::error::ApiError;
use crate::intake::{Intake, Room};

/// GitHub sends no payload above 25 MB.
pub(super) const LIMIT: usize = 25 * 1024 * 1024;
/// GitHub gives up after 10 seconds: whoever has not sent all by then keeps room from others for nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body once there is room for it. Of one that is too large nothing is kept.
pub(super) async fn read(intake: &Intake, headers: &HeaderMap, body: Body) -> Result<(Vec<u8>, Room), ApiError> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > LIMIT) {
        drain(body).await;
        return Err(too_large());
    }
    let length = told.unwrap_or(LIMIT);
    let room = intake.room(length).await;
    let mut bytes = Vec::with_capacity(told.unwrap_or_default());
    let mut frames = body.into_data_stream();
    let read = async {
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|error| broken(&error.to_string()))?;
            if bytes.len() + frame.len() > length {
                return Err(too_large());
            }
            bytes.extend_from_slice(&frame);
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(read) => read.map(|()| (bytes, room)),
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the delivery's body did not come in time"))
        }
    }
}

/// Whoever still sends does not read the answer before the end.
async fn drain(body: Body) {
    let mut frames = body.into_data_stream();
    let mut left = 2 * LIMIT;
    let drained = async {
        while let Some(Ok(frame)) = frames.next().await {
            let Some(rest) = left.checked_sub(frame.len()) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, drained).await;
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "GitHub's deliveries have 25 MB at the most")
}

fn broken(why: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_delivery", "the delivery's body broke off").detail(why)
}
