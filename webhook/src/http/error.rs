//! Errors as problem+json. What went wrong inside is logged and not told.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::problem::{MEDIA_TYPE, Problem};
use windlass_core::stage::Stage;

use crate::deploy::planning::PlanningError;
use crate::http::audience::Full;
use crate::store::StoreError;

/// In seconds.
const READERS_COME_AGAIN: u64 = 15;

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
    /// In seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(status.as_u16(), code, title)), retry_after: None }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(self.problem.detail(detail)), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { problem: Box::new(self.problem.hint(hint)), ..self }
    }

    pub(crate) fn errors(self, errors: Vec<String>) -> Self {
        Self { problem: Box::new(self.problem.errors(errors)), ..self }
    }

    /// It may be asked again after so many seconds.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn stage_unknown(stage: &Stage) -> Self {
        Self::not_found("stage_unknown", format!("this server has no stage {stage}"))
            .hint("stages are listed in the server's file, under `[projects.\"owner/name\".stages.NAME]`")
    }

    pub(crate) fn not_found(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, title)
    }
}

impl ApiError {
    /// The change is on disk, and only what came of it cannot be shown.
    pub(crate) fn after_the_change(error: StoreError) -> Self {
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the store failed an answer");
        let title = "it was done, and the service cannot read its store to show what came of it";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", title)
            .hint("`windlass status` shows it when the store can be read again")
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(formatter)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the store failed a request");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the service cannot read or write its store")
            .hint("nothing was changed; try again, and look into the service's log if it stays so")
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let (status, title) = match full {
            Full::Address => (StatusCode::TOO_MANY_REQUESTS, "too many follow from this address already"),
            Full::All => (StatusCode::SERVICE_UNAVAILABLE, "too many follow what happens already"),
        };
        Self::new(status, "too_many_readers", title)
            .hint("try again later; the page itself, and `windlass status`, show how it stands")
            .retry_after(READERS_COME_AGAIN)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let status = match failure.code {
            FailureCode::HostUnreachable | FailureCode::Internal => StatusCode::SERVICE_UNAVAILABLE,
            FailureCode::GateBlocked
            | FailureCode::GateTimeout
            | FailureCode::PolicyRefused
            | FailureCode::NotNewer
            | FailureCode::Superseded
            | FailureCode::Cancelled
            | FailureCode::ImageMissing
            | FailureCode::PullFailed
            | FailureCode::MigrationFailed
            | FailureCode::MigrationTimeout
            | FailureCode::BootFailed
            | FailureCode::TaskExited
            | FailureCode::Unhealthy
            | FailureCode::SwitchFailed
            | FailureCode::SecretMissing => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let error = Self::new(status, failure.code.as_str(), failure.summary).errors(failure.log);
        match failure.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<PlanningError> for ApiError {
    fn from(error: PlanningError) -> Self {
        match error {
            PlanningError::Refused(failure) => failure.into(),
            PlanningError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
