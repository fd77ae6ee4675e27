//! Comments on a pull request, which GitHub keeps as those of an issue.

use serde::{Deserialize, Serialize};
use windlass_core::names::ProjectName;

use super::connection::Connection;
use super::error::GitHubError;
use super::pages;
use super::route::Route;

/// GitHub's limit for a comment, in characters.
pub(crate) const LONGEST_COMMENT: usize = 65_536;

#[derive(Serialize)]
struct Body<'a> {
    body: &'a str,
}

#[derive(Deserialize)]
struct Made {
    id: u64,
}

/// The oldest comment that begins with this marker. Somebody else may have copied it: what an App has written is
/// recognised by its id.
pub(super) async fn find(
    connection: &Connection,
    project: &ProjectName,
    pull_request: u64,
    marker: &str,
    app: Option<u64>,
) -> Result<Option<u64>, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
        body: Option<String>,
        performed_via_github_app: Option<By>,
    }
    #[derive(Deserialize)]
    struct By {
        id: u64,
    }
    let rows: Vec<Wire> = pages::plain(connection, project, &all(project, pull_request)).await?;
    let marked = |row: &Wire| row.body.as_deref().is_some_and(|body| body.starts_with(marker));
    let by_us = |row: &Wire| app.is_none() || row.performed_via_github_app.as_ref().map(|by| by.id) == app;
    Ok(rows.into_iter().find(|row| marked(row) && by_us(row)).map(|row| row.id))
}

pub(super) async fn create(
    connection: &Connection,
    project: &ProjectName,
    pull_request: u64,
    body: &str,
) -> Result<u64, GitHubError> {
    let made: Made = connection.post(project, &all(project, pull_request), &Body { body }).await?.json()?;
    Ok(made.id)
}

pub(super) async fn edit(
    connection: &Connection,
    project: &ProjectName,
    comment: u64,
    body: &str,
) -> Result<(), GitHubError> {
    let route = Route::of(project).to("issues").to("comments").to(&comment.to_string());
    connection.patch(project, &route, &Body { body }).await.map(drop)
}

fn all(project: &ProjectName, pull_request: u64) -> Route {
    Route::of(project).to("issues").to(&pull_request.to_string()).to("comments")
}
