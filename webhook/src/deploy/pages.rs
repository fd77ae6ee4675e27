//! Apps' own pages, for gateways that answer in their place: read for a plan's services, and copied out of images.

use std::collections::BTreeMap;

use windlass_core::config::{ErrorPage, LARGEST_PAGE};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::{HostImage, HostService, Plan, Step};
use windlass_core::stage::Stage;
use windlass_engine::{NoFile, ServicePages};

use crate::release_config::stored_config;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;

/// Of all services that a plan tells gateways of, those of the way back included.
pub(super) async fn of_plan(service: &Service, stage: &Stage, plan: &Plan) -> Result<ServicePages, Failure> {
    let of_step = |step: &'_ Step| match step {
        Step::Switch { services } | Step::Verify { services, .. } => services.clone(),
        Step::Boot { hold, .. } => hold.clone(),
        _ => Vec::new(),
    };
    let services: Vec<HostService> = plan.steps.iter().flat_map(of_step).chain(plan.revert.switch.clone()).collect();
    let mut pages = ServicePages::default();
    for HostService { key, release, .. } in services {
        if pages.has(&key, release) {
            continue;
        }
        let of_release = of_service(service, stage, key.app(), release).await.map_err(not_kept)?;
        pages.add(key, release, of_release);
    }
    Ok(pages)
}

/// A release's, of the app with this name.
pub(super) async fn of_service(
    service: &Service,
    stage: &Stage,
    app: &str,
    release: ReleaseNumber,
) -> Result<BTreeMap<u16, String>, StoreError> {
    match app.parse::<AppName>() {
        Ok(app) => service.store.release_pages(stage, &app, release).await,
        Err(_) => Ok(BTreeMap::new()),
    }
}

/// Once the images are there, copies what a deployment's releases have in them, where that was not done yet. Gives lines for
/// its log on what could not be had: the gateway has words of its own for that.
pub(super) async fn copy_out(
    service: &Service,
    deployment: &StoredDeployment,
    step: &Step,
) -> Result<Vec<(String, String)>, Failure> {
    let Step::Prepare { images } = step else { return Ok(Vec::new()) };
    let missing = copy_from(service, deployment, images).await.map_err(not_kept)?;
    Ok(missing.into_iter().map(|line| ("windlass".to_owned(), line)).collect())
}

fn not_kept(error: StoreError) -> Failure {
    Failure::new(FailureCode::Internal, format!("the release's own pages could not be kept: {error}"))
}

async fn copy_from(
    service: &Service,
    deployment: &StoredDeployment,
    images: &[HostImage],
) -> Result<Vec<String>, StoreError> {
    let mut missing = Vec::new();
    for (app, number) in &deployment.releases {
        let Some(release) = service.store.release(&deployment.stage, app, *number).await? else { continue };
        let Ok(config) = stored_config(&deployment.stage, &release.config).await else { continue };
        let Some(config) = config.apps.get(app) else { continue };
        let known = service.store.release_pages(&deployment.stage, app, *number).await?;
        for (status, page) in config.errors.iter().filter(|(status, _)| !known.contains_key(status)) {
            let ErrorPage::Image(path) = page else { continue };
            let found = images.iter().find(|found| found.image.digest == release.digest);
            let Some((host, image)) = found.and_then(|it| Some((service.hosts.get(&it.host)?, &it.image))) else {
                continue;
            };
            let read = host.engine.read_from_image(&image.reference(), path, LARGEST_PAGE).await;
            let why = match read {
                Ok(Ok(page)) => {
                    service.store.add_page(&deployment.stage, app, *number, *status, &page).await?;
                    continue;
                }
                Ok(Err(NoFile::Missing)) => format!("there is no {path} in the image"),
                Ok(Err(NoFile::NoFile)) => format!("{path} in the image is no file"),
                Ok(Err(NoFile::TooLarge)) => format!("{path} in the image is larger than {} KB", LARGEST_PAGE >> 10),
                Ok(Err(NoFile::NoText)) => format!("{path} in the image is not UTF-8"),
                Err(error) => error.to_string(),
            };
            missing.push(format!("warning: {app} has no page of its own for {status}: {why}"));
        }
    }
    Ok(missing)
}
