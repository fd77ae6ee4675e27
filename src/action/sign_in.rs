//! How the job comes to a client of the service: with the token that it was given, or with one that GitHub signs for it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use windlass_core::api::Bearer;
use windlass_core::names::StageName;
use windlass_core::stage::Stage;

use super::inputs::Inputs;
use super::log::Log;
use super::runner::{IdTokenRequest, Runner};
use crate::client::Client;
use crate::error::CommandError;

/// How long GitHub may take to sign a token.
const PATIENCE: Duration = Duration::from_secs(20);

/// The service, and the stage on it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) client: Client,
    pub(crate) stage: Stage,
}

/// Finds the service, sees that both versions fit, and signs in.
///
/// # Errors
///
/// When it does not answer, is of another time, or does not let the job in.
pub(crate) async fn sign_in(
    inputs: &Inputs,
    runner: &Runner,
    stage: &StageName,
    log: &Log,
) -> Result<Service, CommandError> {
    let stage = Stage { project: runner.repository.clone(), name: stage.clone() };
    let anonymous = Client::new(inputs.server.clone(), None)?;
    anonymous.check_version().await?;
    let token = match &inputs.token {
        Some(token) => token.clone(),
        None => {
            let id_token = id_token(inputs, runner.id_token.as_ref().ok_or_else(no_permission)?).await?;
            log.hide(&id_token);
            let token = anonymous.sign_in(&stage, &id_token).await?;
            log.hide(&token);
            token
        }
    };
    Ok(Service { client: Client::new(inputs.server.clone(), Some(token))?, stage })
}

fn no_permission() -> CommandError {
    CommandError::failed("the job may not sign in: GitHub gives it no token that says who it is")
        .coded("no_oidc_permission")
        .hint(
            "give the job `permissions: id-token: write` beside `contents: read` (a reusable workflow needs it from its \
             caller too; pull requests from forks never have it), or give a token of `windlass token create` as `token`",
        )
}

/// GitHub signs it for this service and for no other: the audience is the service's address.
async fn id_token(inputs: &Inputs, request: &IdTokenRequest) -> Result<SecretString, CommandError> {
    #[derive(Deserialize)]
    struct Answer {
        value: Bearer,
    }
    let failed = |why: String| {
        CommandError::failed("GitHub did not give the job a token to sign in with")
            .coded("oidc_unavailable")
            .because(why)
            .hint("run the job again; https://www.githubstatus.com says whether GitHub Actions is ill")
    };
    let mut url = request.url.clone();
    url.query_pairs_mut().append_pair("audience", inputs.server.as_str().trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(PATIENCE).build();
    let http = http.map_err(|error| failed(error.without_url().to_string()))?;
    let answer = http.get(url).bearer_auth(request.token.expose_secret()).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| failed(error.without_url().to_string()))?;
    let answer: Answer = answer.json().await.map_err(|error| failed(error.without_url().to_string()))?;
    Ok(answer.value.0.into())
}
