//! What is to be done after the files are written.

use std::fmt;

use serde::Serialize;

use super::Setup;
use super::files::{File, State};
use super::workflows::pushes_to_ghcr;

/// One thing to do, and the lines to write or to type for it.
#[derive(Debug, Serialize)]
pub(super) struct WorkflowStep {
    what: String,
    lines: Vec<String>,
}

impl fmt::Display for WorkflowStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.what)?;
        self.lines
            .iter()
            .try_for_each(|line| if line.is_empty() { writeln!(formatter) } else { write!(formatter, "\n     {line}") })
    }
}

pub(super) fn next(setup: &Setup<'_>, files: &[File]) -> Vec<WorkflowStep> {
    vec![allow(setup), tell(setup), push(setup, files)]
}

fn allow(setup: &Setup<'_>) -> WorkflowStep {
    let Setup { project, branch, arguments, .. } = setup;
    let host = project.repository().to_ascii_lowercase().replace(['_', '.'], "-");
    let branch = toml::Value::String(branch.clone());
    let lines = vec![
        format!("[projects.\"{project}\"]"),
        format!("limits = {{ urls = [\"{host}.example.com\"] }}"),
        String::new(),
        format!("[projects.\"{project}\".stages.{}]", arguments.stage),
        format!("branch = {branch}"),
    ];
    WorkflowStep {
        what: "Allow the project on the server, in windlass-server.toml, with the addresses that it may have:"
            .to_owned(),
        lines,
    }
}

fn tell(setup: &Setup<'_>) -> WorkflowStep {
    let server = setup.server.as_deref().unwrap_or("https://deploy.example.com");
    let mut lines = vec![format!("gh variable set WINDLASS_SERVER --body {server}")];
    let mut what = "Tell the repository where the server is";
    if !setup.apps.iter().all(pushes_to_ghcr) {
        what = "Tell the repository where the server is, and who signs in to the registry";
        lines.push("gh variable set REGISTRY_USERNAME".to_owned());
        lines.push("gh secret set REGISTRY_PASSWORD".to_owned());
    }
    WorkflowStep { what: format!("{what}:"), lines }
}

fn push(setup: &Setup<'_>, files: &[File]) -> WorkflowStep {
    let paths: Vec<&str> = files.iter().filter(|file| file.state != State::Unchanged).map(|file| file.path).collect();
    let mut lines = Vec::new();
    if !paths.is_empty() {
        lines.push(format!("git add {}", paths.join(" ")));
        lines.push("git commit --message \"Deploy with Windlass\"".to_owned());
    }
    lines.push("git push".to_owned());
    let what =
        format!("Push; what is merged into {} is deployed to {} from then on:", setup.branch, setup.arguments.stage);
    WorkflowStep { what, lines }
}
