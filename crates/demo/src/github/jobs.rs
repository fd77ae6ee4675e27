//! Jobs of GitHub Actions: each is a check run, and can have a token signed that says what it is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::exchange::Refusal;
use super::json::app::{DEVELOPER, id_of};
use super::json::with;
use super::oidc::ISSUER;
use super::repository::FakeRepository;
use super::shared::Shared;
use super::state::{CheckState, Conclusion};

/// A job that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its name, and its check run's.
    pub name: String,
    /// Its workflow, `.github/workflows/….yml`.
    pub workflow: String,
    /// What started the workflow.
    pub event: String,
    /// The branch that it runs on.
    pub branch: String,
    /// The commit that it runs on.
    pub sha: String,
    /// The environment that it names.
    pub environment: Option<String>,
    /// The run of the workflow that it is one more job of: its suite. `None`: a run of its own.
    pub suite: Option<u64>,
}

impl NewJob {
    /// A job `deploy` of a workflow `deploy` that a push to `main` has started.
    #[must_use]
    pub fn on_push(sha: &str) -> Self {
        Self {
            name: "deploy".to_owned(),
            workflow: "deploy".to_owned(),
            event: "push".to_owned(),
            branch: "main".to_owned(),
            sha: sha.to_owned(),
            environment: None,
            suite: None,
        }
    }

    /// The same, started by somebody.
    #[must_use]
    pub fn dispatched(sha: &str) -> Self {
        Self { event: "workflow_dispatch".to_owned(), ..Self::on_push(sha) }
    }
}

/// A job that runs.
#[derive(Clone)]
pub struct FakeJob {
    repository: FakeRepository,
    job: NewJob,
    attempt: u64,
    suite: u64,
    check_run: u64,
}

impl FakeRepository {
    /// Starts a job: a check run of GitHub Actions that is in progress.
    pub fn start_job(&self, job: NewJob) -> FakeJob {
        self.start(job, 1)
    }

    fn start(&self, job: NewJob, attempt: u64) -> FakeJob {
        let suite = job.suite.unwrap_or_else(|| self.add_workflow_run(&job.sha, &job.workflow, &job.event));
        let check_run = self.add_check_run_in(suite, &job.name, CheckState::InProgress);
        let job = FakeJob { repository: self.clone(), job, attempt, suite, check_run };
        self.shared.jobs().insert(check_run, job.clone());
        job
    }
}

impl FakeJob {
    /// Its own check run.
    #[must_use]
    pub const fn check_run(&self) -> u64 {
        self.check_run
    }

    /// The suite of its workflow's run; the run has the same id.
    #[must_use]
    pub const fn suite(&self) -> u64 {
        self.suite
    }

    /// Ends it.
    pub fn finish(&self, conclusion: Conclusion) {
        self.repository.complete_check_run(self.check_run, conclusion);
    }

    /// Starts it once more, as "re-run jobs" does: the same run of the workflow, another check run.
    #[must_use]
    pub fn again(&self) -> Self {
        let job = NewJob { suite: Some(self.suite), ..self.job.clone() };
        self.repository.start(job, self.attempt + 1)
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_URL`
    #[must_use]
    pub fn token_request_url(&self) -> String {
        let api = self.repository.shared.model().api.clone();
        format!("{api}/_services/idtoken/{}?api-version=2.0", self.check_run)
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`
    #[must_use]
    pub fn token_request_token(&self) -> String {
        format!("runner-{}-{}", self.check_run, id_of(&self.check_run.to_string()))
    }

    /// A token for somebody.
    #[must_use]
    pub fn token(&self, audience: &str) -> String {
        self.token_saying(audience, json!({}))
    }

    /// A token with other claims beside its own or in their place; `null` takes one away.
    #[must_use]
    pub fn token_saying(&self, audience: &str, other: Value) -> String {
        let mut claims = with(self.claims(audience), other);
        if let Some(claims) = claims.as_object_mut() {
            claims.retain(|_, value| !value.is_null());
        }
        self.repository.shared.keys().sign(&claims)
    }

    /// What a token of its says; each has a `jti` of its own. (GitHub, "OpenID Connect reference".)
    #[must_use]
    pub fn claims(&self, audience: &str) -> Value {
        let Self { job, suite, check_run, attempt, .. } = self;
        let mut model = self.repository.shared.model();
        let (api, jti) = (model.api.clone(), model.new_id());
        let repository = model.repository(self.repository.id());
        let (name, owner) = (&repository.full_name, repository.owner());
        let reference = format!("refs/heads/{}", job.branch);
        let workflow = format!("{name}/.github/workflows/{}.yml@{reference}", job.workflow);
        let about = match &job.environment {
            Some(environment) => format!("environment:{environment}"),
            None if job.event == "pull_request" => job.event.clone(),
            None => format!("ref:{reference}"),
        };
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "jti": format!("00000000-0000-0000-0000-{jti:012}"),
            "sub": format!("repo:{name}:{about}"),
            "aud": audience,
            "ref": reference,
            "sha": job.sha,
            "repository": name,
            "repository_id": repository.id.to_string(),
            "repository_owner": owner,
            "repository_owner_id": id_of(owner).to_string(),
            "repository_visibility": "private",
            "actor": DEVELOPER,
            "actor_id": id_of(DEVELOPER).to_string(),
            "run_id": suite.to_string(),
            "run_number": "1",
            "run_attempt": attempt.to_string(),
            "workflow": job.workflow,
            "workflow_ref": workflow,
            "workflow_sha": job.sha,
            "job_workflow_ref": workflow,
            "job_workflow_sha": job.sha,
            "event_name": job.event,
            "ref_type": "branch",
            "ref_protected": "true",
            "base_ref": "",
            "head_ref": "",
            "runner_environment": "github-hosted",
            "check_run_id": check_run.to_string(),
            "iss": format!("{api}{ISSUER}"),
            "nbf": now - 600,
            "iat": now,
            "exp": now + 300
        });
        if let Some(environment) = &job.environment {
            claims["environment"] = json!(environment);
        }
        claims
    }
}

/// What a runner answers a job that asks for a token.
pub(super) async fn token(
    State(shared): State<Arc<Shared>>,
    Path(check_run): Path<u64>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let Some(job) = shared.jobs().get(&check_run).cloned() else { return Refusal::not_found().into_response() };
    let expected = format!("Bearer {}", job.token_request_token());
    if headers.get(header::AUTHORIZATION).is_none_or(|given| given.as_bytes() != expected.as_bytes()) {
        return Refusal::new(StatusCode::UNAUTHORIZED, "Bad credentials").into_response();
    }
    let owner = job.repository.shared.model().repository(job.repository.id()).owner().to_owned();
    let audience = query.get("audience").cloned().unwrap_or_else(|| format!("https://github.com/{owner}"));
    Json(json!({ "value": job.token(&audience) })).into_response()
}
