//! Reads what is reported on a commit and required on a branch.

use serde::Deserialize;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_core::verdict::{CheckRun, CheckState, CheckSuite, CommitFacts, CommitStatus, Required, RequiredCheck};

use super::GitHub;
use super::connection::Connection;
use super::deployments::unknown_commit;
use super::error::GitHubError;
use super::pages::{self, AppRow, CheckRunPage, CheckSuitePage, StatusPage};
use super::route::Route;
use super::runs;

pub(super) async fn read(
    connection: &Connection,
    project: &ProjectName,
    commit: &CommitSha,
    branch: &str,
    first_seen: Timestamp,
) -> Result<CommitFacts, GitHubError> {
    let reports = reports(connection, project, commit, first_seen);
    let required = required(connection, project, branch);
    let (reports, required) = tokio::try_join!(reports, required)?;
    Ok(CommitFacts { required, ..reports })
}

impl GitHub {
    /// What is reported on a commit alone, as [`GitHub::commit_facts`] reads it.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or with less than it says there is.
    pub async fn reports(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        first_seen: Timestamp,
    ) -> Result<CommitFacts, GitHubError> {
        reports(&self.connection, project, commit, first_seen).await
    }
}

/// What is reported on the commit, whatever a branch requires.
async fn reports(
    connection: &Connection,
    project: &ProjectName,
    commit: &CommitSha,
    first_seen: Timestamp,
) -> Result<CommitFacts, GitHubError> {
    let here = Route::of(project).to("commits").to(commit.as_str());
    let statuses = statuses(connection, project, &here);
    let checks = async {
        // In this order. A run that takes the place of an earlier one is known before its checks are read: the other way
        // round, the earlier one's would be left out and its own not seen. And a suite that was completed when it was
        // read has no runs that come after: else a job could begin and fail in between, and the list of runs would be a
        // prefix that looks finished.
        let workflow_runs = runs::of_commit(connection, project, commit).await?;
        let suites = suites(connection, project, &here, first_seen).await?;
        Ok((workflow_runs, suites, check_runs(connection, project, &here).await?))
    };
    let read = tokio::try_join!(statuses, checks).map_err(unknown_commit);
    let (statuses, (workflow_runs, suites, check_runs)) = read?;
    Ok(CommitFacts {
        statuses,
        check_runs,
        suites,
        required: Required::Known(Vec::new()),
        waiting_jobs: Vec::new(),
        registering_jobs: Vec::new(),
        deploying_runs: Vec::new(),
        workflow_runs,
        same_tree: Vec::new(),
        first_seen,
    })
}

/// The combined status' own verdict is not read: it is `pending` where there are no statuses, and knows no check runs.
async fn statuses(
    connection: &Connection,
    project: &ProjectName,
    here: &Route,
) -> Result<Vec<CommitStatus>, GitHubError> {
    let rows = pages::counted::<StatusPage>(connection, project, &here.clone().to("status")).await?;
    let status =
        |row: pages::StatusRow| CommitStatus { state: CheckState::of_status(&row.state), context: row.context };
    Ok(rows.into_iter().map(status).collect())
}

async fn check_runs(
    connection: &Connection,
    project: &ProjectName,
    here: &Route,
) -> Result<Vec<CheckRun>, GitHubError> {
    let route = here.clone().to("check-runs").with("filter", "latest");
    let rows = pages::counted::<CheckRunPage>(connection, project, &route).await?;
    let run = |row: pages::CheckRunRow| CheckRun {
        id: row.id,
        name: row.name,
        app_id: row.app.as_ref().map(|app| app.id),
        app: called(row.app),
        suite: row.check_suite.map(|suite| suite.id),
        state: CheckState::of_check(&row.status, row.conclusion.as_deref()),
    };
    Ok(rows.into_iter().map(run).collect())
}

async fn suites(
    connection: &Connection,
    project: &ProjectName,
    here: &Route,
    first_seen: Timestamp,
) -> Result<Vec<CheckSuite>, GitHubError> {
    let rows = pages::counted::<CheckSuitePage>(connection, project, &here.clone().to("check-suites")).await?;
    let suite = |row: pages::CheckSuiteRow| CheckSuite {
        id: row.id,
        app: called(row.app),
        state: CheckState::of_check(row.status.as_deref().unwrap_or("queued"), row.conclusion.as_deref()),
        runs: row.latest_check_runs_count,
        created_at: row.created_at.unwrap_or(first_seen),
    };
    Ok(rows.into_iter().map(suite).collect())
}

fn called(app: Option<AppRow>) -> String {
    app.map_or_else(|| "an unknown App".to_owned(), |app| app.name)
}

/// What rulesets and the branch's classic protection ask for, together. What cannot be read is unknown, never nothing.
async fn required(connection: &Connection, project: &ProjectName, branch: &str) -> Result<Required, GitHubError> {
    let rules = rules(connection, project, branch);
    let protection = protection(connection, project, branch);
    match tokio::try_join!(rules, protection) {
        Ok((mut checks, classic)) => {
            checks.extend(classic);
            checks.sort();
            checks.dedup();
            Ok(Required::Known(checks))
        }
        // These say something about us, not about the branch.
        Err(error) if error.is_about_us() => Err(error),
        Err(error) => Ok(Required::Unknown(error.to_string())),
    }
}

async fn rules(
    connection: &Connection,
    project: &ProjectName,
    branch: &str,
) -> Result<Vec<RequiredCheck>, GitHubError> {
    #[derive(Deserialize)]
    struct Rule {
        r#type: String,
        #[serde(default)]
        parameters: serde_json::Value,
    }
    #[derive(Deserialize)]
    struct Parameters {
        required_status_checks: Vec<Wire>,
    }
    #[derive(Deserialize)]
    struct Wire {
        context: String,
        integration_id: Option<i64>,
    }
    let route = Route::of(project).to("rules").to("branches").to(branch);
    let rules: Vec<Rule> = or_not_offered(pages::plain(connection, project, &route).await)?;
    let mut checks = Vec::new();
    for rule in rules.into_iter().filter(|rule| rule.r#type == "required_status_checks") {
        let parameters: Parameters = serde_json::from_value(rule.parameters)
            .map_err(|error| GitHubError::Malformed { asked: format!("GET {route}"), why: error.to_string() })?;
        let required = |wire: Wire| RequiredCheck { context: wire.context, integration_id: pin(wire.integration_id) };
        checks.extend(parameters.required_status_checks.into_iter().map(required));
    }
    Ok(checks)
}

async fn protection(
    connection: &Connection,
    project: &ProjectName,
    branch: &str,
) -> Result<Vec<RequiredCheck>, GitHubError> {
    #[derive(Deserialize)]
    struct Protection {
        #[serde(default)]
        contexts: Vec<String>,
        #[serde(default)]
        checks: Vec<Wire>,
    }
    #[derive(Deserialize)]
    struct Wire {
        context: String,
        app_id: Option<i64>,
    }
    let route = Route::of(project).to("branches").to(branch).to("protection").to("required_status_checks");
    let protection: Protection = match connection.get(project, &route).await {
        Ok(answer) => answer.json()?,
        Err(GitHubError::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return or_not_offered(Err(error)),
    };
    let pinned = |wire: Wire| RequiredCheck { context: wire.context, integration_id: pin(wire.app_id) };
    let mut checks: Vec<RequiredCheck> = protection.checks.into_iter().map(pinned).collect();
    // `contexts` is the older form and names the same checks again, without their Apps.
    for context in protection.contexts {
        if checks.iter().all(|check| check.context != context) {
            checks.push(RequiredCheck::by_anybody(&context));
        }
    }
    Ok(checks)
}

/// Private repositories on GitHub's free plan have no rules at all, and GitHub answers a question for them with this.
fn or_not_offered<T>(rules: Result<Vec<T>, GitHubError>) -> Result<Vec<T>, GitHubError> {
    match rules {
        Err(GitHubError::Forbidden { message, .. }) if message.starts_with("Upgrade to GitHub") => Ok(Vec::new()),
        other => other,
    }
}

/// GitHub writes -1 for "any App".
fn pin(app: Option<i64>) -> Option<u64> {
    app.and_then(|app| u64::try_from(app).ok())
}
