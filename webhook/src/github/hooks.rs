//! What GitHub could not deliver, and asking it to try again.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;
use windlass_core::Timestamp;
use windlass_core::names::ProjectName;

use super::connection::{Answer, Connection};
use super::error::GitHubError;
use super::route::Route;
use super::setup::RepositoryHook;

/// Against a list without an end.
const MOST_PAGES: usize = 100;

/// A webhook that delivers to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The App's own.
    App,
    /// A repository's.
    Repository {
        /// Of this project.
        project: ProjectName,
        /// GitHub's id.
        id: u64,
    },
}

/// A delivery of which no attempt has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDelivery {
    /// GitHub's id of the last attempt.
    pub id: u64,
    /// What all its attempts have in common.
    pub guid: String,
    /// When it was tried first.
    pub at: Timestamp,
}

/// The webhook of a repository that delivers to this address, if there is one.
pub(super) fn of_repository(project: &ProjectName, hooks: Vec<RepositoryHook>, address: &Url) -> Option<Hook> {
    let ours = |hook: &RepositoryHook| {
        hook.active && hook.config.url.as_deref().is_some_and(|url| url.parse() == Ok(address.clone()))
    };
    hooks.into_iter().find(ours).map(|hook| Hook::Repository { project: project.clone(), id: hook.id })
}

/// What a webhook could not deliver since then, oldest first.
pub(super) async fn failed(
    connection: &Connection,
    hook: &Hook,
    since: Timestamp,
) -> Result<Vec<FailedDelivery>, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
        guid: String,
        delivered_at: Timestamp,
        status: String,
    }
    let mut failed: BTreeMap<String, FailedDelivery> = BTreeMap::new();
    let mut taken = Vec::new();
    let mut cursor: Option<String> = None;
    // Newest first.
    for _ in 0..MOST_PAGES {
        let mut route = deliveries(hook).with("per_page", "100").with("status", "failure");
        if let Some(cursor) = &cursor {
            route = route.with("cursor", cursor);
        }
        let answer = get(connection, hook, &route).await?;
        let page: Vec<Wire> = answer.json()?;
        let all_in_time = page.iter().all(|attempt| attempt.delivered_at >= since);
        for attempt in page.into_iter().filter(|attempt| attempt.delivered_at >= since) {
            // A server that does not know the filter lists the others too.
            if attempt.status == "OK" {
                taken.push(attempt.guid);
                continue;
            }
            let Wire { id, guid, delivered_at: at, .. } = attempt;
            failed.entry(guid.clone()).or_insert(FailedDelivery { id, guid, at }).at = at;
        }
        cursor = answer.next_cursor;
        if cursor.is_none() || !all_in_time {
            taken.iter().for_each(|guid| drop(failed.remove(guid)));
            let mut failed: Vec<_> = failed.into_values().collect();
            failed.sort_by_key(|delivery| (delivery.at, delivery.id));
            return Ok(failed);
        }
    }
    Err(GitHubError::Malformed {
        asked: format!("GET {}", deliveries(hook)),
        why: format!("more than {MOST_PAGES} pages"),
    })
}

/// Asks GitHub to try again. That it will is all that it says.
pub(super) async fn deliver_again(connection: &Connection, hook: &Hook, id: u64) -> Result<(), GitHubError> {
    let route = deliveries(hook).to(&id.to_string()).to("attempts");
    match hook {
        Hook::App => connection.post_as_app(&route).await.map(drop),
        Hook::Repository { project, .. } => connection.post_nothing(project, &route).await.map(drop),
    }
}

fn deliveries(hook: &Hook) -> Route {
    match hook {
        Hook::App => Route::to_app().to("hook").to("deliveries"),
        Hook::Repository { project, id } => Route::of(project).to("hooks").to(&id.to_string()).to("deliveries"),
    }
}

async fn get(connection: &Connection, hook: &Hook, route: &Route) -> Result<Answer, GitHubError> {
    match hook {
        Hook::App => connection.get_as_app(route).await,
        Hook::Repository { project, .. } => connection.get(project, route).await,
    }
}
