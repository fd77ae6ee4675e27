//! Takes deliveries: their raw bytes are verified as they come, then stored, then answered; the work comes later.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;

use super::delivery_body;
use super::error::ApiError;
use crate::github::payload::{self, PayloadError};
use crate::intake::inbox::Intake;
use crate::intake::relevance;
use crate::service::Service;
use crate::store::deliveries::{NewDelivery, Stored};

/// Reading a body up to here takes so little time that it is done in place.
const QUICK: usize = 256 * 1024;

pub(crate) async fn receive(
    State(service): State<Arc<Service>>,
    State(intake): State<Arc<Intake>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, &'static str), ApiError> {
    // The room is kept until the answer.
    let (body, _room) = delivery_body::read(&intake, &service.settings.webhook_secrets, &headers, body).await?;
    let delivery = if body.len() <= QUICK {
        admit(&service, &headers, body)?
    } else {
        let service = Arc::clone(&service);
        let admitted = tokio::task::spawn_blocking(move || admit(&service, &headers, body)).await;
        admitted.map_err(|_| not_stored())??
    };
    match intake.store(delivery).await {
        Ok(Stored::Accepted) => Ok((StatusCode::ACCEPTED, "stored\n")),
        Ok(Stored::Known) => Ok((StatusCode::ACCEPTED, "known already\n")),
        Err(_) => Err(not_stored()),
    }
}

/// What a body that GitHub has signed delivers.
fn admit(service: &Service, headers: &HeaderMap, body: Vec<u8>) -> Result<NewDelivery, ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(event), Some(guid)) = (header("x-github-event"), header("x-github-delivery")) else {
        return Err(bad_delivery("X-GitHub-Event or X-GitHub-Delivery is missing"));
    };
    let json = json(header("content-type"), body)?;
    let outcome = match payload::parse(event, json.as_bytes()) {
        Ok(event) => relevance::means_nothing(service, &event),
        // What is JSON and of another shape than expected is kept: it has failed, and its reason is on record.
        Err(PayloadError::Json { source, .. }) if source.is_data() => {
            let read = serde_json::from_str::<IgnoredAny>(&json);
            read.map_err(|error| bad_delivery(&format!("its body is not JSON: {error}")))?;
            None
        }
        Err(PayloadError::Json { source, .. }) => {
            return Err(bad_delivery(&format!("its body is not JSON: {source}")));
        }
        Err(PayloadError::Name(_) | PayloadError::NoPayload) => None,
    };
    Ok(NewDelivery { guid: guid.into(), event: event.into(), body: json.into(), outcome })
}

/// The body's JSON, whichever of GitHub's two content types it came as.
fn json(content_type: Option<&str>, body: Vec<u8>) -> Result<String, ApiError> {
    let form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let json =
        if form { payload::json_of_form(&body).map_err(|error| bad_delivery(&error.to_string()))? } else { body };
    String::from_utf8(json).map_err(|_| bad_delivery("its body is not UTF-8"))
}

fn bad_delivery(why: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_delivery", "this is no delivery of GitHub's").detail(why)
}

fn not_stored() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the delivery could not be stored")
        .hint("GitHub can be asked to deliver it again; the service's log says what is wrong")
}
