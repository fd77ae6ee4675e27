//! `windlass doctor`

use std::path::Path;
use std::time::Duration;

use clap::Args;
use windlass_core::api::{HostView, Reachability};
use windlass_core::compatibility;
use windlass_core::config::DockerEndpoint;
use windlass_core::hint::Hint;
use windlass_images::{BuildError, Builder};
#[cfg(feature = "service")]
use windlass_webhook::Checked;

use crate::arguments::Where;
use crate::client::Client;
use crate::error::{CommandError, Status};
use crate::output::Finding;
use crate::target::{PROJECT_FILE, given, read_project_file, server_url};

/// How long this machine's engine may take to answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Check what Windlass needs: Docker, the files, the server, GitHub
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass doctor                                 from a developer's machine
  windlass doctor --config windlass-server.toml   on the server")]
pub(crate) struct Doctor {
    #[command(flatten)]
    place: Where,
    /// Check this server's file too, and what it names
    #[cfg(feature = "service")]
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// The Docker Engine of this machine
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = "unix:///var/run/docker.sock")]
    docker: String,
}

pub(crate) async fn run(arguments: Doctor) -> Result<Status, CommandError> {
    let mut findings = vec![docker(&arguments.docker).await, project_file()];
    findings.extend(server(&arguments.place).await);
    #[cfg(feature = "service")]
    if let Some(path) = &arguments.config {
        findings.extend(server_file(path).await);
    }
    Finding::report(&findings, arguments.place.json)
}

async fn docker(address: &str) -> Finding {
    let name = "Docker Engine";
    let Some(socket) = address.strip_prefix("unix://") else {
        return Finding::skipped(name, format!("{address} is not a Unix socket of this machine"));
    };
    let endpoint = DockerEndpoint::Unix(socket.into());
    let asked = async { Builder::connect(&endpoint).await?.facts().await };
    let Ok(asked) = tokio::time::timeout(PATIENCE, asked).await else {
        let wrong = format!("the one at {address} takes connections and gives no answer");
        return Finding::failed(name, wrong, "restart Docker, or look into its log".to_owned());
    };
    match asked {
        Ok(facts) => Finding::ok(name, format!("answers at {address} (API {})", facts.api_version)),
        Err(error @ BuildError::EngineTooOld { .. }) => Finding::failed(name, error.to_string(), error.hint()),
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
    let fits = if compatibility::fits(own, &version) {
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
            let names: Vec<String> = hosts.iter().map(said_of).collect();
            Finding::ok("token", format!("valid; the server's hosts: {}", names.join(", ")))
        }
        Err(error) => {
            let error = CommandError::from(error);
            let hint = error.advice().unwrap_or_else(|| "`windlass token create` on the server makes one".to_owned());
            Finding::failed("token", error.summary(), hint)
        }
    }
}

/// Its name, and what of it does not answer the server.
fn said_of(host: &HostView) -> String {
    let silent = |what: &str, part: Option<&Reachability>| match part {
        Some(Reachability::Silent { why, since }) => {
            let since = since.map(|since| format!(" since {}", since.strftime("%H:%M:%S UTC"))).unwrap_or_default();
            Some(format!("its {what} does not answer{since}: {why}"))
        }
        Some(Reachability::Answers { .. }) | None => None,
    };
    let parts = [silent("engine", Some(&host.engine)), silent("gateway", host.gateway.as_ref())];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { host.name.to_string() } else { format!("{} ({})", host.name, parts.join("; ")) }
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
    let looked = windlass_webhook::doctor(&config).await.into_iter().map(|finding| match finding.found {
        Checked::Good(found) => Finding::ok(&finding.name, found),
        Checked::Doubtful(wrong) => Finding::warning(&finding.name, wrong, finding.hint),
        Checked::Bad(wrong) => Finding::failed(&finding.name, wrong, finding.hint),
    });
    std::iter::once(Finding::ok(&name, "valid")).chain(looked).collect()
}
