//! Takes deliveries: verify the raw bytes, store, answer; the work comes later.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::error::ApiError;
use crate::app::App;
use crate::github::payload;
use crate::signature;
use crate::store::deliveries::Stored;

pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, &'static str), ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    signature::verify(&app.settings.webhook_secrets, header("x-hub-signature-256"), &body)
        .map_err(|error| ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", error.to_string()))?;
    let (Some(event), Some(guid)) = (header("x-github-event"), header("x-github-delivery")) else {
        return Err(bad_delivery("X-GitHub-Event or X-GitHub-Delivery is missing"));
    };
    let json = json(header("content-type"), &body)?;
    let stored = app.store.store_delivery(guid, event, &json, app.now()).await?;
    app.wake.deliveries.notify_one();
    Ok((
        StatusCode::ACCEPTED,
        match stored {
            Stored::Accepted => "stored\n",
            Stored::Known => "known already\n",
        },
    ))
}

/// The body's JSON, whichever of GitHub's two content types it came as.
fn json(content_type: Option<&str>, body: &[u8]) -> Result<String, ApiError> {
    let form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let json = if form {
        payload::json_of_form(body).map_err(|error| bad_delivery(&error.to_string()))?
    } else {
        body.to_vec()
    };
    let text = String::from_utf8(json).map_err(|_| bad_delivery("its body is not UTF-8"))?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(bad_delivery(&format!("its body is not JSON: {error}"))),
    }
}

fn bad_delivery(why: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_delivery", "this is no delivery of GitHub's").detail(why)
}
