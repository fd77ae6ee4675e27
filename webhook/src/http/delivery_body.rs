//! A delivery's raw bytes, believed or not by their end. What has come takes room and what is announced does not: little in
//! memory, the rest on disk. Room that has to be waited for is for what GitHub has signed, and so nobody else makes it wait.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use secrecy::SecretString;

use super::error::ApiError;
use crate::intake::inbox::{Intake, Room};
use crate::intake::signature::{SignatureError, Signed};
use crate::intake::spool::Place;

/// GitHub sends no payload above 25 MB.
pub(super) const LIMIT: usize = 25 * 1024 * 1024;
/// GitHub gives up after 10 seconds: whoever has not sent all by then sends it for nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// What one body may have in memory before its signature was looked at.
const IN_MEMORY: usize = 256 * 1024;

/// Reads a body that one of the secrets has signed. Of any other nothing is kept.
pub(super) async fn read(
    intake: &Intake,
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<u8>, Room), ApiError> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > LIMIT) {
        drain(body).await;
        return Err(too_large());
    }
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    let signed = match Signed::begin(secrets, signature) {
        Ok(signed) => signed,
        Err(error) => {
            drain(body).await;
            return Err(unbelieved(error));
        }
    };
    let coming = Coming { intake, signed, length: 0, memory: Vec::new(), room: Room::none(), disk: None };
    match tokio::time::timeout(PATIENCE, coming.take(body)).await {
        Ok(come) => come?.believed().await,
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the delivery's body did not come in time"))
        }
    }
}

/// As much as has come.
struct Coming<'a> {
    intake: &'a Intake,
    signed: Signed,
    length: usize,
    memory: Vec<u8>,
    room: Room,
    disk: Option<(File, Place)>,
}

impl Coming<'_> {
    async fn take(mut self, body: Body) -> Result<Self, ApiError> {
        let mut frames = body.into_data_stream();
        loop {
            let taken_away = self.disk.as_ref().map(|(_, place)| place.taken_away.clone()).unwrap_or_default();
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = taken_away.cancelled() => return Err(too_busy()),
            };
            let Some(frame) = frame else { return Ok(self) };
            let frame = frame.map_err(|error| broken(&error.to_string()))?;
            self.length += frame.len();
            if self.length > LIMIT {
                return Err(too_large());
            }
            let fits = self.disk.is_none() && self.length <= IN_MEMORY && self.intake.grow(&mut self.room, frame.len());
            if fits {
                self.memory.extend_from_slice(&frame);
            } else {
                self = self.spill(frame).await?;
            }
        }
    }

    /// What is in memory goes to disk, and this piece after it. It is looked at on its way, beside the async threads.
    async fn spill(mut self, piece: Bytes) -> Result<Self, ApiError> {
        let before = std::mem::take(&mut self.memory);
        let (file, place) =
            self.disk.take().map_or_else(|| (None, self.intake.spool.place()), |(file, place)| (Some(file), place));
        place.grow(before.len() + piece.len());
        let make = self.intake.spool.file();
        let mut signed = self.signed;
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.map_or_else(make, Ok)?;
            for bytes in [&before[..], &piece[..]] {
                signed.update(bytes);
                file.write_all(bytes)?;
            }
            Ok((file, signed))
        });
        let (file, signed) = written.await.map_err(|_| not_kept())?.map_err(|error: std::io::Error| {
            tracing::error!(%error, "a delivery's body cannot be written into the data folder");
            not_kept()
        })?;
        Ok(Self { signed, disk: Some((file, place)), room: Room::none(), ..self })
    }

    /// The whole body, once there is room for it, if its signature is right.
    async fn believed(mut self) -> Result<(Vec<u8>, Room), ApiError> {
        let Some((mut file, _place)) = self.disk else {
            self.signed.update(&self.memory);
            return self.signed.finish().map(|()| (self.memory, self.room)).map_err(unbelieved);
        };
        self.signed.finish().map_err(unbelieved)?;
        let room = self.intake.room(self.length).await;
        let read = tokio::task::spawn_blocking(move || {
            let mut body = Vec::with_capacity(self.length);
            file.rewind()?;
            file.read_to_end(&mut body).map(|_| body)
        });
        let body = read.await.map_err(|_| not_kept())?.map_err(|_: std::io::Error| not_kept())?;
        Ok((body, room))
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

fn unbelieved(error: SignatureError) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", error.to_string())
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "GitHub's deliveries have 25 MB at the most")
}

fn too_busy() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_busy", "too many large bodies come at the same time")
}

fn not_kept() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the delivery could not be stored")
}

fn broken(why: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_delivery", "the delivery's body broke off").detail(why)
}
