//! `windlass init`: reads what a repository says of its app, and writes the files with which it is deployed. Everything
//! is worked out and checked before the first file is written.

mod apps;
mod context;
mod files;
mod project_file;
mod repository;
mod steps;
mod workflows;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use windlass_core::names::{ImageName, ProjectName, StageName};

use crate::error::{CommandError, Status};
use crate::output;
use crate::target::{given, server_url};

use apps::App;
use files::{File, State};
use repository::Repository;
use steps::WorkflowStep;

/// Prepare a repository: write windlass.toml and the workflows that deploy it and roll it back
///
/// Reads each Dockerfile for its port and its health check, and Git for the project and its branch. Files that are there
/// already and say something else are left alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass init --dry-run                        show what would be written
  windlass init --server https://deploy.example.com
  windlass init --stage staging --branch develop --image registry.example.com/shop")]
pub(crate) struct Init {
    /// The GitHub repository [default: the Git remote `origin`]
    #[arg(short, long, value_name = "OWNER/NAME")]
    project: Option<ProjectName>,
    /// The stage that the workflows deploy to
    #[arg(short, long, value_name = "NAME", default_value = "production")]
    stage: StageName,
    /// The branch whose commits are deployed [default: the remote's, or the one that is checked out]
    #[arg(short, long, value_name = "NAME")]
    branch: Option<String>,
    /// Where images are pushed to, without a tag; several apps add `-NAME` [default: ghcr.io/OWNER/NAME]
    #[arg(long, value_name = "NAME")]
    image: Option<ImageName>,
    /// The app's Dockerfile [default: each file of that name]
    #[arg(long, value_name = "FILE")]
    dockerfile: Option<PathBuf>,
    /// The stage of the Dockerfile that runs [default: the last]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// The service's address, for what is to be done next
    #[arg(long, env = "WINDLASS_SERVER", value_name = "URL", hide_env_values = true)]
    server: Option<String>,
    /// Write over files that say something else
    #[arg(long)]
    force: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document instead
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(arguments: &Init) -> Result<Status, CommandError> {
    let setup = Setup::find(arguments)?;
    let files = setup.files()?;
    if arguments.dry_run {
        show(&setup, &files, arguments)?;
        return Ok(Status::Done);
    }
    if !arguments.force {
        refuse_to_overwrite(&files)?;
    }
    files::write(&setup.repository.root, &files)?;
    say(&setup, &files, arguments)?;
    Ok(Status::Done)
}

/// All that the files are made of.
struct Setup<'a> {
    arguments: &'a Init,
    repository: Repository,
    project: ProjectName,
    branch: String,
    apps: Vec<App>,
    notes: Vec<String>,
    server: Option<String>,
}

impl<'a> Setup<'a> {
    fn find(arguments: &'a Init) -> Result<Self, CommandError> {
        let server = given(arguments.server.as_deref()).map(server_url).transpose()?;
        let repository = Repository::here()?;
        let project = match &arguments.project {
            Some(project) => project.clone(),
            None => repository.project()?,
        };
        let image: ImageName = match &arguments.image {
            Some(image) => image.clone(),
            None => format!("ghcr.io/{project}").parse()?,
        };
        let branch =
            arguments.branch.clone().or_else(|| repository.default_branch()).unwrap_or_else(|| "main".to_owned());
        let (apps, mut notes) = apps::find(&repository.root, &image, arguments)?;
        if arguments.project.is_none() {
            notes.extend(repository.elsewhere());
        }
        let server = server.map(|server| server.as_str().trim_end_matches('/').to_owned());
        Ok(Self { arguments, repository, project, branch, apps, notes, server })
    }

    fn files(&self) -> Result<Vec<File>, CommandError> {
        let stage = &self.arguments.stage;
        let contents = [
            (crate::target::PROJECT_FILE, project_file::write(&self.apps, stage, self.arguments.target.as_deref())?),
            (".github/workflows/windlass-deploy.yml", workflows::deploy(&self.apps, stage, &self.branch)),
            (".github/workflows/windlass-rollback.yml", workflows::rollback(&self.apps, stage)),
        ];
        contents.into_iter().map(|(path, content)| File::compare(&self.repository.root, path, content)).collect()
    }
}

fn refuse_to_overwrite(files: &[File]) -> Result<(), CommandError> {
    let different: Vec<&str> =
        files.iter().filter(|file| file.state == State::Different).map(|file| file.path).collect();
    if different.is_empty() {
        return Ok(());
    }
    let message = format!("nothing was written: {} would be written over", different.join(" and "));
    Err(CommandError::misused(message).hint("look at it with --dry-run; --force writes over what is there"))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    project: &'a ProjectName,
    branch: &'a str,
    files: &'a [File],
    notes: &'a [String],
    next: Vec<WorkflowStep>,
}

fn report<'a>(setup: &'a Setup<'_>, files: &'a [File]) -> Report<'a> {
    let Setup { project, branch, notes, .. } = setup;
    Report { project, branch, files, notes, next: steps::next(setup, files) }
}

fn show(setup: &Setup<'_>, files: &[File], arguments: &Init) -> Result<(), CommandError> {
    if arguments.json {
        return output::json(&report(setup, files));
    }
    for file in files {
        output::result(&format!("{0}==> {1}{0:#} ({2})\n{3}", output::BOLD, file.path, file.state, file.content))?;
    }
    notes(setup);
    Ok(())
}

fn say(setup: &Setup<'_>, files: &[File], arguments: &Init) -> Result<(), CommandError> {
    if arguments.json {
        return output::json(&report(setup, files));
    }
    for file in files {
        let did = if file.state == State::Unchanged { "kept" } else { "wrote" };
        output::result(&format!("{did} {}", file.path))?;
    }
    notes(setup);
    output::result("\nNext:")?;
    for (number, step) in (1..).zip(steps::next(setup, files)) {
        output::result(&format!("\n{number}. {step}"))?;
    }
    Ok(())
}

fn notes(setup: &Setup<'_>) {
    for note in &setup.notes {
        output::note(&format!("{0}note:{0:#} {note}", output::BOLD_YELLOW));
    }
}
