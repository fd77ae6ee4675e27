//! `windlass release create`

use std::path::{Path, PathBuf};

use clap::Args;
use windlass_core::api::NewRelease;
use windlass_core::config::ProjectFile;
use windlass_core::names::{AppName, CommitSha, Digest, ImageName};

use crate::arguments::Where;
use crate::checkout::Checkout;
use crate::error::{CommandError, Status};
use crate::output;
use crate::pages;
use crate::target::unreadable;

/// Register an image that was built as a release
///
/// The same commit again gives the same release.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release create --digest sha256:8f43…              the commit that is checked out
  windlass release create --commit 3f786850e387550fdab836ed7e6dc881de23001b \\
      --digest sha256:8f43… --image ghcr.io/acme/shop
  windlass release create --digest \"$(docker image inspect -f '{{.Id}}' shop)\"
                                                              an image of the host's own engine")]
pub(crate) struct ReleaseCreate {
    /// What it was built from [default: the commit that is checked out]
    #[arg(long, value_name = "SHA")]
    commit: Option<CommitSha>,
    /// The image's digest in its registry; or, without an image's name, its id on the host's own engine
    #[arg(long, value_name = "SHA256")]
    digest: Digest,
    /// Where it is pulled from [default: `image` of windlass.toml; without it, the host's own engine has it]
    #[arg(long, value_name = "NAME")]
    image: Option<ImageName>,
    /// The file that says what the app is
    #[arg(long, value_name = "FILE", default_value = "windlass.toml")]
    config: PathBuf,
    /// Make a new number although the commit is registered already
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: ReleaseCreate) -> Result<Status, CommandError> {
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
    let pages = pages::read(resolved, path.parent().unwrap_or(Path::new("")))?;
    let new = NewRelease { commit, digest, image, config, pages, rebuild, uncommitted: false };
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
