//! `windlass release`

use std::path::Path;

use windlass_core::Timestamp;
use windlass_core::api::{LastDeployment, NewDeployment, NewRelease, Page, Release};
use windlass_core::config::ProjectFile;
use windlass_core::names::{AppName, ImageName};
use windlass_core::plan::DeploymentKind;

use super::deploy::{Waiting, start};
use crate::checkout::Checkout;
use crate::cli::{ReleaseActivate, ReleaseCommand, ReleaseCreate, ReleaseList};
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};
use crate::target::{Target, unreadable};

pub(crate) async fn run(command: ReleaseCommand) -> Result<Status, CommandError> {
    match command {
        ReleaseCommand::List(arguments) => list(arguments).await,
        ReleaseCommand::Create(arguments) => create(arguments).await,
        ReleaseCommand::Activate(arguments) => activate(arguments).await,
    }
}

async fn list(arguments: ReleaseList) -> Result<Status, CommandError> {
    let ReleaseList { all, place } = arguments;
    let target = place.target()?;
    let app = target.app()?;
    let mut page = target.client.releases(&target.stage, &app, None).await?;
    while let Some(cursor) = page.next.take_if(|_| all) {
        let older = target.client.releases(&target.stage, &app, Some(&cursor)).await?;
        page.items.extend(older.items);
        page.next = older.next;
    }
    if place.json {
        output::json(&page)?
    } else {
        show(&page, &target, &app)?
    }
    Ok(Status::Done)
}

fn show(page: &Page<Release>, target: &Target, app: &AppName) -> Result<(), CommandError> {
    let now = Timestamp::now();
    let mut table = Table::new(&["RELEASE", "COMMIT", "DIGEST", "CREATED", "BY", "STATE", "LAST DEPLOYMENT", "IMAGE"]);
    for release in &page.items {
        let image = release.image.as_ref().map_or_else(|| "on the host's engine", ImageName::as_str);
        table.row([
            release.number.to_string(),
            format!("{}{}", release.commit.short(), if release.uncommitted { "+" } else { "" }),
            short(release.digest.as_str()),
            ago(release.created_at, now),
            release.created_by.clone(),
            if release.active { "active".to_owned() } else { String::new() },
            release.last_deployment.as_ref().map(|last| became(last, now)).unwrap_or_default(),
            image.to_owned(),
        ]);
    }
    if table.is_empty() {
        output::note(&format!("{app} has no release on {} yet", target.stage.spoken()));
        return Ok(());
    }
    output::result(&table.to_string())?;
    if page.next.is_some() {
        output::note("there are older ones: --all lists them too");
    }
    Ok(())
}

/// As Docker shows it: the beginning, without the algorithm. `--json` has all of it.
fn short(digest: &str) -> String {
    let (_, hex) = digest.split_once(':').unwrap_or(("", digest));
    hex.chars().take(12).collect()
}

/// `succeeded 3 minutes ago`; a rollback says that it was one.
fn became(last: &LastDeployment, now: Timestamp) -> String {
    let kind = match last.kind {
        DeploymentKind::Deploy => String::new(),
        kind => format!("{kind} "),
    };
    let when = last.ended_at.map(|ended| format!(" {}", ago(ended, now))).unwrap_or_default();
    format!("{kind}{}{when}", last.state)
}

async fn create(arguments: ReleaseCreate) -> Result<Status, CommandError> {
    let ReleaseCreate { commit, digest, image, config: path, rebuild, place } = arguments;
    let target = place.target()?;
    let config = std::fs::read_to_string(&path).map_err(|error| {
        unreadable(&path, &error).hint("a release carries the file that says what the app is; --config names another")
    })?;
    let file = ProjectFile::parse(&path.display().to_string(), &config)?;
    let app = target.app()?;
    let resolved = file.resolve(&target.stage.name);
    let resolved = resolved.apps.get(&app).ok_or_else(|| {
        let known: Vec<&str> = resolved.apps.keys().map(AppName::as_str).collect();
        let message = format!("{} has no app {app}; it has {}", path.display(), known.join(", "));
        CommandError::misused(message).hint("say which with --app")
    })?;
    let checked_out = || Ok::<_, CommandError>(Checkout::of(Path::new("."))?.map(|checkout| checkout.commit));
    let commit = commit.map_or_else(checked_out, |commit| Ok(Some(commit)))?.ok_or_else(|| {
        CommandError::misused("no commit is given, and this folder has none checked out")
            .hint("pass --commit with the full SHA that the image was built from")
    })?;
    let image = image.or_else(|| resolved.image.clone());
    let new = NewRelease { commit, digest, image, config, rebuild, uncommitted: false };
    let release = target.client.create_release(&target.stage, &app, &new).await?;
    if place.json {
        output::json(&release)?;
    } else {
        output::result(&format!(
            "release {} of {app} on {} is commit {}",
            release.number,
            target.stage.spoken(),
            release.commit.short()
        ))?;
    }
    Ok(Status::Done)
}

async fn activate(arguments: ReleaseActivate) -> Result<Status, CommandError> {
    let ReleaseActivate { release, reason, detach, place } = arguments;
    let target = place.target()?;
    let releases = [(target.app()?, release)].into();
    let new = NewDeployment { releases, app: None, kind: DeploymentKind::Deploy, reason, override_gate: false };
    start(&target, &new, Waiting::unless(detach), place.json).await
}
