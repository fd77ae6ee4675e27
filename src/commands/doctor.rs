//! `windlass doctor`

use std::path::Path;

use serde::Serialize;
use windlass_core::config::DockerEndpoint;
use windlass_core::names::InstallationId;
use windlass_engine::Engine;

use crate::cli::{Doctor, Where};
use crate::client::Client;
use crate::error::{CommandError, Status};
use crate::output::{self, DIM, GREEN, RED};
use crate::target::{PROJECT_FILE, given, read_project_file, server_url};

pub(crate) async fn run(arguments: Doctor) -> Result<Status, CommandError> {
    let mut findings = vec![docker(&arguments.docker).await, project_file()];
    findings.extend(server(&arguments.place).await);
    #[cfg(feature = "service")]
    if let Some(path) = &arguments.config {
        findings.extend(server_file(path).await);
    }
    if arguments.place.json {
        output::json(&findings)?;
    } else {
        findings.iter().try_for_each(Finding::show)?;
    }
    let sick = findings.iter().any(|finding| finding.state == State::Failed);
    Ok(if sick { Status::Failed } else { Status::Done })
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    state: State,
    /// What was found, or what is wrong.
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Failed,
    /// There was nothing to look at, which need not be wrong.
    Skipped,
}

impl Finding {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Ok, found: found.into(), hint: None }
    }

    fn failed(name: &str, wrong: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { name: name.to_owned(), state: State::Failed, found: wrong.into(), hint: hint.into() }
    }

    fn skipped(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Skipped, found: why.into(), hint: None }
    }

    fn show(&self) -> Result<(), CommandError> {
        let (word, style) = match self.state {
            State::Ok => ("ok     ", GREEN),
            State::Failed => ("failed ", RED),
            State::Skipped => ("skipped", DIM),
        };
        output::result(&format!("{style}{word}{style:#}  {}: {}", self.name, self.found))?;
        match &self.hint {
            Some(hint) => output::result(&format!("         hint: {hint}")),
            None => Ok(()),
        }
    }
}

async fn docker(address: &str) -> Finding {
    let name = "Docker Engine";
    let Some(socket) = address.strip_prefix("unix://") else {
        return Finding::skipped(name, format!("{address} is not a Unix socket of this machine"));
    };
    // Nothing is looked for by its label here, so any host and any installation will do.
    let Ok(host) = "local".parse() else { return Finding::skipped(name, "no name for it") };
    let endpoint = DockerEndpoint::Unix(socket.into());
    match Engine::connect(host, &endpoint, InstallationId(uuid::Uuid::nil())).await {
        Ok(engine) => Finding::ok(name, format!("answers at {address} (API {})", engine.api_version())),
        Err(error) => Finding::failed(
            name,
            error.to_string(),
            "start Docker, or let this user open its socket (the group `docker`)".to_owned(),
        ),
    }
}

fn project_file() -> Finding {
    match read_project_file(Path::new(PROJECT_FILE), PROJECT_FILE) {
        Ok(Some(_)) => Finding::ok(PROJECT_FILE, "valid"),
        Ok(None) => Finding::skipped(PROJECT_FILE, "there is none in this folder"),
        Err(_) => Finding::failed(PROJECT_FILE, "not valid", "`windlass config` says what is wrong".to_owned()),
    }
}

/// The server, its version, and the token.
async fn server(place: &Where) -> Vec<Finding> {
    let Some(address) = given(place.server.as_deref()) else {
        return vec![Finding::skipped("server", "none is given (WINDLASS_SERVER or --server)")];
    };
    let client = match server_url(address).and_then(|url| Client::new(url, place.token.clone())) {
        Ok(client) => client,
        Err(error) => return vec![Finding::failed("server", error.summary(), error.advice())],
    };
    let version = match client.version().await {
        Ok(answer) => answer.version,
        Err(error) => {
            let error = CommandError::from(error);
            return vec![Finding::failed("server", error.summary(), error.advice())];
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    let fits = if fit_together(own, &version) {
        Finding::ok("server", format!("{} answers, version {version}", client.server()))
    } else {
        let wrong = format!("it has version {version}, this is {own}");
        Finding::failed("server", wrong, "use versions that are at most one apart".to_owned())
    };
    vec![fits, token(&client, place).await]
}

async fn token(client: &Client, place: &Where) -> Finding {
    if place.token.is_none() {
        return Finding::skipped("token", "none is given (WINDLASS_TOKEN or --token)");
    }
    match client.hosts().await {
        Ok(hosts) => {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            Finding::ok("token", format!("valid; the server's hosts: {}", names.join(", ")))
        }
        Err(error) => {
            let error = CommandError::from(error);
            let hint = error.advice().unwrap_or_else(|| "`windlass token create` on the server makes one".to_owned());
            Finding::failed("token", error.summary(), hint)
        }
    }
}

/// The service answers to clients of one version before and after its own. Before 1.0 the second number counts.
fn fit_together(own: &str, other: &str) -> bool {
    let numbers = |version: &str| {
        let mut parts = version.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    match (numbers(own), numbers(other)) {
        (Some((major, minor)), Some((other_major, other_minor))) => {
            major == other_major && minor.abs_diff(other_minor) <= 1
        }
        _ => false,
    }
}

#[cfg(feature = "service")]
async fn server_file(path: &Path) -> Vec<Finding> {
    let name = path.display().to_string();
    let config = match super::server_file::read(path) {
        Ok(config) => config,
        Err(_) => {
            let hint = format!("`windlass config --server {name}` says what is wrong");
            return vec![Finding::failed(&name, "not valid", hint)];
        }
    };
    let looked = windlass_webhook::doctor(&config).await.into_iter().map(|finding| match finding.result {
        Ok(found) => Finding::ok(&finding.name, found),
        Err(wrong) => Finding::failed(&finding.name, wrong, finding.hint),
    });
    std::iter::once(Finding::ok(&name, "valid")).chain(looked).collect()
}

#[cfg(test)]
mod tests {
    use super::fit_together;

    #[test]
    fn versions_fit_when_they_are_at_most_one_apart() {
        for (own, other, fits) in [
            ("0.1.0", "0.1.7", true),
            ("0.1.0", "0.2.0", true),
            ("0.3.0", "0.1.0", false),
            ("1.0.0", "0.9.0", false),
            ("0.1.0", "nightly", false),
        ] {
            assert_eq!(fit_together(own, other), fits, "{own} {other}");
        }
    }
}
