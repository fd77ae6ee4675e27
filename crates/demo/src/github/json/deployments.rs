//! Deployments and their statuses.

use serde_json::{Value, json};

use super::super::model::{Deployment, DeploymentStatus, Repository};
use super::repositories::url;
use super::{app, time};

pub(in crate::github) fn deployment(it: &Deployment, repository: &Repository, api: &str) -> Value {
    let repository_url = url(repository, api);
    let url = format!("{repository_url}/deployments/{}", it.id);
    let updated = it.statuses.last().map_or(it.at, |status| status.at);
    json!({
        "url": url,
        "id": it.id,
        "node_id": format!("DE_{}", it.id),
        "sha": it.sha,
        "ref": it.reference,
        "task": it.task,
        "payload": it.payload,
        "original_environment": it.environment,
        "environment": it.statuses.last().map_or(&it.environment, |status| &status.environment),
        "description": it.description,
        "creator": app::bot(api),
        "created_at": time(it.at),
        "updated_at": time(updated),
        "statuses_url": format!("{url}/statuses"),
        "repository_url": repository_url,
        "transient_environment": it.transient,
        "production_environment": it.production,
        "performed_via_github_app": null
    })
}

pub(in crate::github) fn status(it: &DeploymentStatus, of: &Deployment, repository: &Repository, api: &str) -> Value {
    let repository_url = url(repository, api);
    let deployment_url = format!("{repository_url}/deployments/{}", of.id);
    let at = time(it.at);
    json!({
        "url": format!("{deployment_url}/statuses/{}", it.id),
        "id": it.id,
        "node_id": format!("DES_{}", it.id),
        "state": it.state,
        "creator": app::bot(api),
        "description": it.description,
        "environment": it.environment,
        "target_url": it.log_url,
        "log_url": it.log_url,
        "environment_url": it.environment_url,
        "created_at": at,
        "updated_at": at,
        "deployment_url": deployment_url,
        "repository_url": repository_url,
        "performed_via_github_app": null
    })
}
