//! Lists, read to their last page. A list that is shorter than GitHub says it is, is an error: what is missing might be the
//! check that failed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_core::names::ProjectName;

use super::connection::{Answer, Connection};
use super::error::GitHubError;
use super::route::Route;

const PER_PAGE: usize = 100;
/// More than GitHub keeps of anything that is read here; against a list without an end.
const MOST_PAGES: usize = 100;

/// A page of a list that says how long it is.
pub(super) trait Counted: DeserializeOwned {
    type Row;

    fn total(&self) -> usize;
    fn rows(self) -> Vec<Self::Row>;
}

/// All rows of a list that says how long it is.
pub(super) async fn counted<P: Counted>(
    connection: &Connection,
    project: &ProjectName,
    route: &Route,
) -> Result<Vec<P::Row>, GitHubError> {
    let mut all = Vec::new();
    for number in 1..=MOST_PAGES {
        let answer = page(connection, project, route, number).await?;
        let page: P = answer.json()?;
        let total = page.total();
        let rows = page.rows();
        let empty = rows.is_empty();
        all.extend(rows);
        if all.len() >= total {
            return Ok(all);
        }
        if empty {
            return Err(answer.malformed(format!("{total} entries are announced, and {} came", all.len())));
        }
    }
    Err(endless(route))
}

/// All rows of a list that does not say how long it is.
pub(super) async fn plain<T: DeserializeOwned>(
    connection: &Connection,
    project: &ProjectName,
    route: &Route,
) -> Result<Vec<T>, GitHubError> {
    let mut all = Vec::new();
    for number in 1..=MOST_PAGES {
        let answer = page(connection, project, route, number).await?;
        let rows: Vec<T> = answer.json()?;
        let full = rows.len() >= PER_PAGE;
        all.extend(rows);
        if !answer.more.unwrap_or(full) {
            return Ok(all);
        }
    }
    Err(endless(route))
}

async fn page(
    connection: &Connection,
    project: &ProjectName,
    route: &Route,
    number: usize,
) -> Result<Answer, GitHubError> {
    let route = route.clone().with("per_page", &PER_PAGE.to_string()).with("page", &number.to_string());
    connection.get(project, &route).await
}

fn endless(route: &Route) -> GitHubError {
    GitHubError::Malformed { asked: format!("GET {route}"), why: format!("more than {MOST_PAGES} pages") }
}

/// Declares a page: its rows' type and the field that holds them.
macro_rules! page {
    ($name:ident, $row:ty, $field:literal) => {
        #[derive(Deserialize)]
        pub(super) struct $name {
            total_count: usize,
            #[serde(rename = $field)]
            rows: Vec<$row>,
        }

        impl Counted for $name {
            type Row = $row;

            fn total(&self) -> usize {
                self.total_count
            }

            fn rows(self) -> Vec<$row> {
                self.rows
            }
        }
    };
}

page!(StatusPage, StatusRow, "statuses");
page!(CheckRunPage, CheckRunRow, "check_runs");
page!(CheckSuitePage, CheckSuiteRow, "check_suites");
page!(WorkflowRunPage, WorkflowRunRow, "workflow_runs");

/// A commit status on the wire.
#[derive(Deserialize)]
pub(super) struct StatusRow {
    pub(super) context: String,
    pub(super) state: String,
}

/// A check run on the wire.
#[derive(Deserialize)]
pub(super) struct CheckRunRow {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) app: Option<AppRow>,
    pub(super) check_suite: Option<SuiteRef>,
}

/// A check suite on the wire.
#[derive(Deserialize)]
pub(super) struct CheckSuiteRow {
    pub(super) id: u64,
    pub(super) status: Option<String>,
    pub(super) conclusion: Option<String>,
    pub(super) created_at: Option<windlass_core::Timestamp>,
    #[serde(default)]
    pub(super) latest_check_runs_count: u64,
    pub(super) app: Option<AppRow>,
}

/// A run of a workflow on the wire.
#[derive(Deserialize)]
pub(super) struct WorkflowRunRow {
    pub(super) id: u64,
    pub(super) workflow_id: u64,
    pub(super) event: String,
    pub(super) check_suite_id: Option<u64>,
}

/// An App on the wire.
#[derive(Deserialize)]
pub(super) struct AppRow {
    pub(super) id: u64,
    pub(super) name: String,
}

/// A check run's suite on the wire.
#[derive(Deserialize)]
pub(super) struct SuiteRef {
    pub(super) id: u64,
}
