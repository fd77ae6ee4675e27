//! Sign-in of GitHub's jobs: a token of GitHub's for one of ours, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use windlass_core::api::{Bearer, SignIn, SignedIn};
use windlass_core::config::StagePolicy;
use windlass_core::hint::Hint;
use windlass_core::sign_in::{ClaimRefused, JobClaims};
use windlass_core::stage::Stage;

use super::auth::SESSION_PREFIX;
use super::error::ApiError;
use super::extract::Body;
use crate::github::oidc::{Issuer, OidcError};
use crate::intake::projects;
use crate::service::Service;
use crate::store::sessions::{Exchange, Session};

/// As long as a job on a runner of GitHub's may take.
const LASTS: SignedDuration = SignedDuration::from_hours(6);

/// Signs a job in
///
/// Exchanges the token that GitHub gives to a job, once, for one that is good for one stage until the job must have ended.
#[utoipa::path(
    post,
    path = "/auth/oidc",
    tag = "sign-in",
    operation_id = "sign_in",
    security(()),
    request_body = SignIn,
    responses(
        (status = OK, description = "The job has signed in", body = SignedIn),
        (status = UNAUTHORIZED, description = "`unauthenticated`: GitHub's token is not accepted, or was exchanged before"),
        (status = FORBIDDEN, description = "`policy_refused`: the stage's policy does not let this job in"),
        (status = NOT_FOUND, description = "`stage_unknown`: the server has no such stage"),
        (status = SERVICE_UNAVAILABLE, description = "`oidc_unavailable` or `repository_unknown`: GitHub does not answer"),
    ),
)]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    State(issuer): State<Arc<Issuer>>,
    Body(asked): Body<SignIn>,
) -> Result<Json<SignedIn>, ApiError> {
    let stage = Stage { project: projects::configured_name(&service, asked.project), name: asked.stage };
    let signed_in = sign_in(&service, &issuer, &asked.token.0, &stage).await;
    if let Err(error) = &signed_in {
        tracing::warn!(stage.name = %stage, why = %error, "a job was not let in");
    }
    signed_in.map(Json)
}

async fn sign_in(service: &Service, issuer: &Issuer, token: &str, stage: &Stage) -> Result<SignedIn, ApiError> {
    let now = service.clock.now();
    let claims = issuer.verify(token, now).await.map_err(|error| refuse_token(issuer, error))?;
    admit(service, stage, &claims).await?;
    let session = Session {
        stage: stage.clone(),
        reference: claims.reference,
        commit: claims.sha,
        event: claims.event_name,
        run_id: claims.run_id,
        run_attempt: claims.run_attempt,
        check_run_id: claims.check_run_id,
        actor: claims.actor,
        workflow_ref: claims.workflow_ref,
        expires_at: end(now),
    };
    let ours = session_token(&service.installation_key, token, stage);
    let expires_at = match service.store.sign_in(&claims.jti, &ours, &session, now).await? {
        Exchange::New => {
            tracing::info!(stage.name = %stage, actor = session.actor, detail = %session, "a job signed in");
            session.expires_at
        }
        Exchange::Again(expires_at) => expires_at,
        Exchange::Used => {
            return Err(unauthenticated("the job's token was exchanged before, by another request")
                .hint("ask the runner for a new token for each stage"));
        }
    };
    Ok(SignedIn { token: Bearer(ours), expires_at })
}

/// In this order: whoever is not of the repository hears nothing of its stages.
async fn admit(service: &Service, stage: &Stage, claims: &JobClaims) -> Result<(), ApiError> {
    let unknown = || ApiError::stage_unknown(stage);
    service.settings.server.projects.get(&stage.project).ok_or_else(unknown)?;
    let repository = projects::repository_ids(service).await?.get(&stage.project).copied().ok_or_else(|| {
        service.wake.projects.notify_one();
        let title = format!("GitHub's id of {} is not known yet", stage.project);
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "repository_unknown", title)
            .hint("it is learnt as soon as GitHub answers; or set `id` in the server's file")
    })?;
    claims.is_of(repository).map_err(refuse_claim)?;
    let StagePolicy { oidc, .. } = service.settings.server.policy(stage).ok_or_else(unknown)?;
    claims.may_enter(&stage.name, oidc).map_err(refuse_claim)
}

fn refuse_token(issuer: &Issuer, error: OidcError) -> ApiError {
    match error {
        OidcError::Refused(why) => unauthenticated(&format!("the job's token is not accepted: {why}"))
            .hint(format!("ask the runner for a token whose audience is {}", issuer.audience())),
        OidcError::Unavailable(why) => {
            let title = "the keys of jobs' tokens cannot be read from their issuer";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "oidc_unavailable", title)
                .detail(why)
                .hint("try again soon; `github.oidc-issuer` in the server's file says who the issuer is")
        }
    }
}

fn refuse_claim(refused: ClaimRefused) -> ApiError {
    let hint = refused.hint();
    let error = ApiError::new(StatusCode::FORBIDDEN, "policy_refused", refused.to_string());
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn unauthenticated(title: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", title)
}

/// A whole second: what is answered is what is stored.
fn end(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_add(LASTS.as_secs())).unwrap_or(now)
}

/// Derived, so that the same request is given the same answer although no token is kept. GitHub's token is part of it:
/// who has our key and our store cannot derive it.
fn session_token(key: &[u8], token: &str, stage: &Stage) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in ["a job's session", token, stage.project.as_str(), stage.name.as_str()] {
        mac.update(part.as_bytes());
        // Stands in none of them.
        mac.update(b"\n");
    }
    format!("{SESSION_PREFIX}{}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_076_the_same_request_has_the_same_token_and_another_has_another() {
        let stage =
            |project: &str, stage: &str| Stage { project: project.parse().unwrap(), name: stage.parse().unwrap() };
        let here = stage("acme/shop", "production");
        let token = session_token(b"key", "token", &here);
        assert_eq!(token.len(), "wns_".len() + 64);
        assert_eq!(session_token(b"key", "token", &here), token);
        for other in [
            session_token(b"another key", "token", &here),
            session_token(b"key", "another token", &here),
            session_token(b"key", "token", &stage("acme/shop", "staging")),
            session_token(b"key", "token", &stage("acme/other", "production")),
        ] {
            assert_ne!(other, token);
        }
    }
}
