//! Comments on pull requests, which are issues to the API.

use serde_json::{Value, json};

use super::super::model::{Comment, Repository};
use super::repositories::{html, url};
use super::{app, time};

pub(in crate::github) fn comment(it: &Comment, repository: &Repository, api: &str) -> Value {
    let (api_url, html_url) = (url(repository, api), html(repository));
    json!({
        "id": it.id,
        "node_id": format!("IC_{}", it.id),
        "url": format!("{api_url}/issues/comments/{}", it.id),
        "html_url": format!("{html_url}/pull/{}#issuecomment-{}", it.pull_request, it.id),
        "issue_url": format!("{api_url}/issues/{}", it.pull_request),
        "user": app::bot(api),
        "body": it.bodies.last(),
        "created_at": time(it.created_at),
        "updated_at": time(it.updated_at),
        "author_association": "NONE",
        "performed_via_github_app": app::app(app::APP_SLUG, api)
    })
}
