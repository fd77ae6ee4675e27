//! Who asks, and what they may do. Every handler of the API but `version` asks for an [`Actor`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use windlass_core::api::{Scope, TokenView};

use super::error::ApiError;
use crate::app::App;
use crate::stage::StageKey;

/// Somebody with a token.
#[derive(Debug)]
pub(crate) struct Actor(TokenView);

impl Actor {
    /// The token's name: who is remembered as having done it.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Refuses what the token does not allow on this stage.
    pub(crate) fn may(&self, scope: Scope, stage: &StageKey) -> Result<(), ApiError> {
        let here = self.0.project.as_ref().is_none_or(|project| *project == stage.project)
            && self.0.stage.as_ref().is_none_or(|name| *name == stage.stage);
        if !here {
            return Err(forbidden(format!("the token `{}` is not for {stage}", self.0.name)));
        }
        self.may_anywhere(scope)
    }

    /// Refuses what the token does not allow at all.
    pub(crate) fn may_anywhere(&self, scope: Scope) -> Result<(), ApiError> {
        let holds = |wanted: Scope| self.0.scopes.contains(&wanted) || self.0.scopes.contains(&Scope::Admin);
        if holds(scope) || (scope == Scope::Read && !self.0.scopes.is_empty()) {
            return Ok(());
        }
        Err(forbidden(format!("the token `{}` has no scope `{}`", self.0.name, scope.as_str())))
    }
}

fn forbidden(why: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", why)
        .hint("`windlass token create` on the server makes one that may")
}

impl FromRequestParts<Arc<App>> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| {
                ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "there is no token in the request")
                    .hint("set WINDLASS_TOKEN, or pass --token")
            })?;
        let found = app.store.find_token(token.trim()).await?.ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the token is unknown or was revoked")
        })?;
        app.store.token_used(&found, app.now()).await?;
        Ok(Self(found))
    }
}

/// The stage that a path names, which the server's file must know.
impl FromRequestParts<Arc<App>> for StageKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        #[derive(serde::Deserialize)]
        struct Names {
            owner: String,
            repository: String,
            stage: String,
        }
        let names = Path::<Names>::from_request_parts(parts, app).await.map_err(|error| bad_path(&error))?;
        let parse_error = |error: windlass_core::names::InvalidName| bad_path(&error);
        let project = format!("{}/{}", names.owner, names.repository).parse().map_err(parse_error)?;
        let stage = Self { project, stage: names.stage.parse().map_err(parse_error)? };
        if app.policy(&stage).is_none() {
            return Err(ApiError::not_found("stage_unknown", format!("this server has no stage {stage}"))
                .hint("stages are listed in the server's file, under `[projects.\"owner/name\".stages.NAME]`"));
        }
        Ok(stage)
    }
}

fn bad_path(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_path", error.to_string())
}
