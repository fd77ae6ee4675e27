//! Who asks, and whether they may. Every handler of the API but `version` asks for an [`Actor`].

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use windlass_core::api::{Scope, TokenView};
use windlass_core::config::JobMay;
use windlass_core::names::StageName;
use windlass_core::stage::Stage;

use super::Http;
use super::act::{Act, ForJobs};
use super::error::ApiError;
use crate::intake::projects;
use crate::store::locks::Holder;
use crate::store::sessions::StoredSession;

/// What jobs' tokens begin with, so that scanners for leaked secrets know them.
pub(super) const SESSION_PREFIX: &str = "wns_";

/// Somebody with a token.
#[derive(Debug)]
pub(crate) enum Actor {
    /// A person or a program, with a token that was made on the server.
    Token(TokenView),
    /// A job that signed in to one stage, and what that stage's policy lets jobs do beyond deploying.
    Job(StoredSession, Vec<JobMay>),
}

impl Actor {
    /// Who is remembered as having done it: the token's name, or the login of whoever started the job's workflow.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Token(token) => &token.name,
            Self::Job(job, _) => &job.session.actor,
        }
    }

    /// As who it locks.
    pub(crate) fn holder(&self) -> Holder {
        match self {
            Self::Token(token) => Holder { name: token.name.clone(), run: None },
            Self::Job(job, _) => job.session.holder(),
        }
    }

    /// A session that is over lets nobody in.
    fn of_job(found: StoredSession, may: Vec<JobMay>, now: Timestamp) -> Result<Self, ApiError> {
        if now >= found.session.expires_at {
            return Err(unauthenticated("the job's sign-in has expired").hint("sign in again, with a new token"));
        }
        Ok(Self::Job(found, may))
    }

    /// The job, if it is one.
    pub(crate) const fn job(&self) -> Option<&StoredSession> {
        match self {
            Self::Token(_) => None,
            Self::Job(job, _) => Some(job),
        }
    }

    /// Refuses what the token does not allow on this stage. A job's own policy speaks for it.
    pub(crate) fn may(&self, act: Act, stage: &Stage) -> Result<(), ApiError> {
        match self {
            Self::Token(token) => {
                let here = token.project.as_ref().is_none_or(|project| *project == stage.project)
                    && token.stage.as_ref().is_none_or(|name| *name == stage.name);
                if !here {
                    return Err(forbidden(format!("the token `{}` is not for {stage}", token.name)));
                }
                self.may_anywhere(act.scope())
            }
            Self::Job(StoredSession { session, .. }, _) if session.stage != *stage => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!("the job signed in to {}", session.stage),
            )
            .hint(format!("sign in to {stage} for that"))),
            Self::Job(_, named) => match act.for_jobs() {
                ForJobs::Always => Ok(()),
                ForJobs::IfNamed(may) if named.contains(&may) => Ok(()),
                ForJobs::IfNamed(may) => {
                    let hint = format!(
                        "add \"{}\" to `oidc.may` of the stage in the server's file, or use a token of a person",
                        may.as_str()
                    );
                    Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", format!("a job may not {act}")).hint(hint))
                }
                ForJobs::Never => Err(forbidden(format!("a job may not {act}"))),
            },
        }
    }

    /// Refuses what the token does not allow at all.
    pub(crate) fn may_anywhere(&self, scope: Scope) -> Result<(), ApiError> {
        let token = match self {
            Self::Token(token) => token,
            Self::Job(job, _) => return Err(forbidden(format!("a job may do that on {} only", job.session.stage))),
        };
        let holds = |wanted: Scope| token.scopes.contains(&wanted) || token.scopes.contains(&Scope::Admin);
        if holds(scope) || (scope == Scope::Read && !token.scopes.is_empty()) {
            return Ok(());
        }
        Err(forbidden(format!("the token `{}` has no scope `{}`", token.name, scope.as_str())))
    }
}

fn forbidden(why: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", why)
        .hint("`windlass token create` on the server makes one that may")
}

fn unauthenticated(why: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", why)
}

impl FromRequestParts<Http> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Http) -> Result<Self, ApiError> {
        let service = &http.service;
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| {
                unauthenticated("there is no token in the request").hint("set WINDLASS_TOKEN, or pass --token")
            })?
            .trim();
        let unknown = || unauthenticated("the token is unknown or was revoked");
        if token.starts_with(SESSION_PREFIX) {
            let found = service.store.find_session(token).await?.ok_or_else(unknown)?;
            let may = service
                .settings
                .server
                .policy(&found.session.stage)
                .map(|policy| policy.oidc.may.clone())
                .unwrap_or_default();
            return Self::of_job(found, may, service.clock.now());
        }
        let found = service.store.find_token(token).await?.ok_or_else(unknown)?;
        // That it was used is worth no failure: who only reads needs no room on the disk.
        if let Err(error) = service.store.token_used(&found, service.clock.now()).await {
            tracing::debug!(token.name = found.name, %error, "a token's use could not be written down");
        }
        Ok(Self::Token(found))
    }
}

/// How a path names a stage.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct StagePath {
    /// The account or organisation that has the repository.
    #[param(pattern = "^[A-Za-z0-9_.-]{1,100}$", min_length = 1)]
    owner: String,
    /// The repository's own name.
    #[param(pattern = "^[A-Za-z0-9_.-]{1,100}$", min_length = 1)]
    repository: String,
    /// The stage's name.
    #[param(value_type = StageName)]
    stage: String,
}

/// The stage that a path names, which the server's file must know.
#[derive(Debug)]
pub(crate) struct NamedStage(pub(crate) Stage);

impl FromRequestParts<Http> for NamedStage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Http) -> Result<Self, ApiError> {
        let names = Path::<StagePath>::from_request_parts(parts, http).await.map_err(|error| bad_path(&error))?;
        let parse_error = |error: windlass_core::names::InvalidName| bad_path(&error);
        let service = &http.service;
        let project = format!("{}/{}", names.owner, names.repository).parse().map_err(parse_error)?;
        let stage = Stage {
            project: projects::configured_name(service, project),
            name: names.stage.parse().map_err(parse_error)?,
        };
        if service.settings.server.policy(&stage).is_none() {
            return Err(ApiError::stage_unknown(&stage));
        }
        Ok(Self(stage))
    }
}

fn bad_path(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_path", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sessions::Session;

    #[test]
    fn a_job_whose_sign_in_has_expired_is_told_so() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let session = Session {
            stage: Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() },
            reference: "refs/heads/main".to_owned(),
            commit: "a".repeat(40).parse().unwrap(),
            event: "push".to_owned(),
            run_id: 1,
            run_attempt: 1,
            check_run_id: None,
            actor: "octavia".to_owned(),
            workflow_ref: None,
            expires_at: at(100),
        };
        let job = StoredSession { id: 1, session };
        assert!(Actor::of_job(job.clone(), Vec::new(), at(99)).is_ok());
        let refused = Actor::of_job(job, Vec::new(), at(100)).unwrap_err();
        assert_eq!(refused.to_string(), "the job's sign-in has expired");
    }
}
