//! `windlass release list`

use clap::Args;
use windlass_core::Timestamp;
use windlass_core::api::{LastDeployment, Page, Release};
use windlass_core::names::{AppName, ImageName};
use windlass_core::plan::DeploymentKind;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};
use crate::target::Target;

/// List an app's releases, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release list
  windlass release list --all --json")]
pub(crate) struct ReleaseList {
    /// Not only the newest thirty
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: ReleaseList) -> Result<Status, CommandError> {
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
