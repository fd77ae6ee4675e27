//! Releases: register, list.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;
use windlass_core::api::{NewRelease, Page, Release};
use windlass_core::config::{AppConfig, ErrorPage, LARGEST_PAGE, ProjectFile, located};
use windlass_core::names::{AppName, CommitSha, ReleaseNumber};
use windlass_core::stage::Stage;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use crate::service::Service;
use crate::store::releases::Registration;
use crate::store::sessions::Session;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AppPath {
    /// The app's name; `default` where the project has one without a name.
    pub(super) app: AppName,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReleasesQuery {
    /// What the page before said is `next`.
    #[param(nullable = false)]
    cursor: Option<ReleaseNumber>,
    /// As many at the most, up to 100; 30 where it is left out.
    #[param(nullable = false)]
    limit: Option<u32>,
    #[param(nullable = false)]
    /// Only the newest release of this commit.
    commit: Option<CommitSha>,
}

/// Registers a release
///
/// The same commit again is the same release, unless `rebuild` asks for a new number.
#[utoipa::path(
    post,
    path = "/apps/{app}/releases",
    tag = "releases",
    operation_id = "create_release",
    params(StagePath, AppPath),
    request_body = NewRelease,
    responses(
        (status = CREATED, description = "It is registered", body = Release),
        (status = OK, description = "It was registered before", body = Release),
        (status = CONFLICT, description = "`digest_conflict`: the commit is registered with another image"),
        (
            status = UNPROCESSABLE_ENTITY,
            description = "`config_invalid`, `pages_invalid`, `policy_refused` or `uncommitted_changes`: nothing is registered",
        ),
    ),
)]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Path(AppPath { app: name }): Path<AppPath>,
    Body(new): Body<NewRelease>,
) -> Result<(StatusCode, Json<Release>), ApiError> {
    actor.may(Act::Register, &stage)?;
    if let Some(job) = actor.job() {
        check_commit(&job.session, &new.commit)?;
    }
    let new = check(&service, &stage, &name, new).await?;
    refuse_uncommitted(&service, &stage, &new)?;
    match service.store.register_release(&stage, &name, &new, actor.name(), actor.job(), service.clock.now()).await? {
        Registration::Created(release) => {
            service.wake.stages.notify_one();
            Ok((StatusCode::CREATED, Json(release)))
        }
        Registration::Existing(release) => Ok((StatusCode::OK, Json(release))),
        Registration::Conflict(release) => {
            let title = format!("commit {} is registered already, with another image", release.commit);
            Err(ApiError::new(StatusCode::CONFLICT, "digest_conflict", title)
                .detail(format!("release {} has {}", release.number, release.digest))
                .hint("deploy that release, or register again with `rebuild` for a new number"))
        }
    }
}

/// A job vouches for what it was started for, and for nothing else.
fn check_commit(job: &Session, commit: &CommitSha) -> Result<(), ApiError> {
    if job.commit == *commit {
        return Ok(());
    }
    let title = format!("the job runs on {} and cannot register a release of {commit}", job.commit);
    Err(ApiError::new(StatusCode::FORBIDDEN, "policy_refused", title).hint(
        "on `pull_request` a job runs on a merge that is only tried; register releases from pushes to the branch",
    ))
}

/// Each that is taken from the repository, and no other.
fn wrong_pages(app: &AppConfig, pages: &BTreeMap<u16, String>) -> Vec<String> {
    let is_sent = |page: &ErrorPage| matches!(page, ErrorPage::Repository(_));
    let missing = app.errors.iter().filter(|(status, page)| is_sent(page) && !pages.contains_key(status));
    let missing =
        missing.map(|(status, page)| format!("errors.{status} is {}, and the request has no page for it", page.path()));
    let surplus = pages.keys().filter(|status| !app.errors.get(status).is_some_and(is_sent));
    let surplus =
        surplus.map(|status| format!("there is a page for {status}, and `errors` takes none from the repository"));
    let large = pages.iter().filter(|(_, page)| page.len() > LARGEST_PAGE);
    let large = large.map(|(status, _)| format!("the page for {status} is larger than {} KB", LARGEST_PAGE >> 10));
    missing.chain(surplus).chain(large).collect()
}

/// What deploys by itself is what was committed.
fn refuse_uncommitted(service: &Service, stage: &Stage, new: &NewRelease) -> Result<(), ApiError> {
    let automatic = service.settings.server.policy(stage).is_some_and(|policy| !policy.deploy_on.is_empty());
    if !new.uncommitted || !automatic {
        return Ok(());
    }
    let title = format!("{stage} deploys by itself, and the image has more in it than commit {}", new.commit.short());
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "uncommitted_changes", title).hint("build a clean checkout"))
}

/// The file may ask only for what the server's file allows, and it is told so now rather than while it is deployed.
async fn check(service: &Arc<Service>, stage: &Stage, name: &AppName, new: NewRelease) -> Result<NewRelease, ApiError> {
    let _one_of_few = READERS.acquire().await;
    let (service, stage, name) = (Arc::clone(service), stage.clone(), name.clone());
    let read = tokio::task::spawn_blocking(move || check_file(&service, &stage, &name, &new).map(|()| new));
    read.await.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()))
}

/// A file may be large and full of mistakes: reading one takes memory, and time in which nothing else would go on.
static READERS: Semaphore = Semaphore::const_new(2);

fn check_file(service: &Service, stage: &Stage, name: &AppName, new: &NewRelease) -> Result<(), ApiError> {
    let invalid = |errors: Vec<String>| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "config_invalid", "the release's windlass.toml is not valid")
            .errors(errors)
    };
    let file = ProjectFile::parse("windlass.toml", &new.config).map_err(|error| invalid(vec![error.to_string()]))?;
    let config = file.resolve(&stage.name);
    let refusals = service
        .settings
        .server
        .projects
        .get(&stage.project)
        .map(|project| project.permits(&config))
        .unwrap_or_default();
    if let [first, ..] = &refusals[..] {
        let title = "this server does not allow what windlass.toml asks for";
        let errors = located("windlass.toml", &new.config, &stage.name, &refusals);
        let refused = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "policy_refused", title);
        return Err(refused.errors(errors).hint(first.remedy.clone()));
    }
    if !config.apps.contains_key(name) {
        let known: Vec<&str> = config.apps.keys().map(AppName::as_str).collect();
        return Err(invalid(vec![format!("there is no service `{name}` in it; it has {}", known.join(", "))]));
    }
    match config.apps.get(name).map(|app| wrong_pages(app, &new.pages)).unwrap_or_default() {
        wrong if wrong.is_empty() => Ok(()),
        wrong => {
            let title = "the release's own pages are not those that its windlass.toml names";
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "pages_invalid", title)
                .errors(wrong)
                .hint("`windlass release create` and the action send them; update whichever registered this"))
        }
    }
}

/// Lists an app's releases, the newest first
#[utoipa::path(
    get,
    path = "/apps/{app}/releases",
    tag = "releases",
    operation_id = "list_releases",
    params(StagePath, AppPath, ReleasesQuery),
    responses((status = OK, description = "One page of them", body = Page<Release>)),
)]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Path(AppPath { app: name }): Path<AppPath>,
    Query(query): Query<ReleasesQuery>,
) -> Result<Json<Page<Release>>, ApiError> {
    actor.may(Act::Look, &stage)?;
    if let Some(commit) = &query.commit {
        let newest = service.store.release_of_commit(&stage, &name, commit).await?;
        return Ok(Json(Page { items: newest.into_iter().collect(), next: None }));
    }
    let limit = query.limit.unwrap_or(30).clamp(1, 100);
    let mut items = service.store.releases(&stage, &name, query.cursor, limit).await?;
    service.store.add_last_deployments(&stage, &name, &mut items).await?;
    let full = items.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = items.last().filter(|_| full).map(|release| release.number.to_string());
    Ok(Json(Page { items, next }))
}
