//! `windlass config`

use std::path::{Path, PathBuf};

use clap::Args;
use windlass_core::config::{ProjectFile, REFERENCE, SERVER_REFERENCE, ServerConfig};
use windlass_core::names::StageName;

use crate::error::{CommandError, Status};
use crate::output::{self, YELLOW};
use crate::target::{PROJECT_FILE, unreadable};

/// Where a server's file lies unless something else is said.
const SERVER_FILE: &str = "windlass-server.toml";

/// Check a configuration file, show what it means, or print its annotated reference
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass config                              check ./windlass.toml
  windlass config --stage staging              show what it means for a stage
  windlass config --server windlass-server.toml
  windlass config --reference > windlass.toml  every key, annotated")]
pub(crate) struct Config {
    /// The file [default: windlass.toml, or windlass-server.toml with --server]
    file: Option<PathBuf>,
    /// It is a server's file
    #[arg(long)]
    server: bool,
    /// Print every key of the file, annotated
    #[arg(long, conflicts_with_all = ["file", "stage", "json"])]
    reference: bool,
    /// Print what the file says for this stage
    #[arg(short, long, conflicts_with = "server")]
    stage: Option<StageName>,
    /// As JSON
    #[arg(long, requires = "stage")]
    json: bool,
}

pub(crate) fn run(arguments: &Config) -> Result<Status, CommandError> {
    if arguments.reference {
        output::raw(if arguments.server { SERVER_REFERENCE } else { REFERENCE }.as_bytes())?;
        return Ok(Status::Done);
    }
    let path = arguments
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(if arguments.server { SERVER_FILE } else { PROJECT_FILE }));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| unreadable(&path, &error).hint("`windlass config --reference` prints one with every key"))?;
    if arguments.server {
        check_server(&path, &text)?;
    } else {
        let file = ProjectFile::parse(&path.display().to_string(), &text)?;
        match &arguments.stage {
            Some(stage) => resolve(&file, stage, arguments.json)?,
            None => summarise(&path, &file)?,
        }
    }
    Ok(Status::Done)
}

fn check_server(path: &Path, text: &str) -> Result<(), CommandError> {
    let config = ServerConfig::parse(&path.display().to_string(), text)?;
    output::result(&format!("{} is valid", path.display()))?;
    let hosts: Vec<String> = config.hosts.keys().map(ToString::to_string).collect();
    output::result(&format!("  hosts: {}", hosts.join(", ")))?;
    for (name, project) in &config.projects {
        let stages: Vec<&str> = project.stages.keys().map(StageName::as_str).collect();
        output::result(&format!("  {name}: {}", stages.join(", ")))?;
    }
    for warning in config.warnings() {
        output::note(&format!("{YELLOW}warning:{YELLOW:#} {warning}"));
    }
    Ok(())
}

fn summarise(path: &Path, file: &ProjectFile) -> Result<(), CommandError> {
    output::result(&format!("{} is valid", path.display()))?;
    let stages: Vec<&StageName> = file.stages().collect();
    if stages.is_empty() {
        return output::result("  the same on every stage; `--stage NAME` shows what it means");
    }
    let names: Vec<&str> = stages.into_iter().map(StageName::as_str).collect();
    output::result(&format!(
        "  stages with keys of their own: {}; `--stage NAME` shows what it means",
        names.join(", ")
    ))
}

/// Everything that the file says for a stage, with what it leaves to Windlass filled in.
fn resolve(file: &ProjectFile, stage: &StageName, json: bool) -> Result<(), CommandError> {
    let config = file.resolve(stage);
    if json {
        return output::json(&config);
    }
    let text = toml::to_string(&config)
        .map_err(|error| CommandError::failed("cannot write the configuration as TOML").caused_by(&error))?;
    output::raw(text.as_bytes())
}
