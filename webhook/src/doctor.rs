//! What the service needs, looked at one by one, without starting it.

use windlass_core::config::ServerConfig;
use windlass_core::hint::Hint;
use windlass_core::names::InstallationId;
use windlass_engine::Hosts;

use crate::config::Settings;
use crate::serve::environment;

mod github;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: String,
    /// What was found.
    pub found: Found,
    /// What to do, if something is wrong.
    pub hint: Option<String>,
}

/// What was found, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is as it should be.
    Good(String),
    /// It works without, but not as well.
    Doubtful(String),
    /// Something does not work.
    Bad(String),
}

impl Finding {
    fn good(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), found: Found::Good(found.into()), hint: None }
    }

    fn doubtful(name: impl Into<String>, wrong: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.into(), found: Found::Doubtful(wrong.into()), hint }
    }

    fn bad(name: impl Into<String>, wrong: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.into(), found: Found::Bad(wrong.into()), hint }
    }

    const fn is_bad(&self) -> bool {
        matches!(self.found, Found::Bad(_))
    }
}

/// Looks at the secrets, the data folder, the hosts with their gateways, and GitHub.
pub async fn doctor(config: &ServerConfig) -> Vec<Finding> {
    let mut findings = vec![folder(config)];
    let settings = match Settings::load(config.clone(), &environment).await {
        Ok(settings) => settings,
        Err(error) => {
            let hint = Some("set it, or change its source in the server's file".to_owned());
            findings.extend(error.problems.into_iter().map(|problem| Finding::bad("secrets", problem, hint.clone())));
            findings.extend(hosts(config).await);
            return findings;
        }
    };
    findings.push(Finding::good("secrets", "all can be read"));
    findings.extend(hosts(config).await);
    findings.extend(github::look(&settings).await);
    findings
}

fn folder(config: &ServerConfig) -> Finding {
    let name = "data folder";
    let shown = config.data.display().to_string();
    match std::fs::metadata(&config.data) {
        Ok(data) if data.is_dir() && !data.permissions().readonly() => Finding::good(name, shown),
        Ok(_) => Finding::bad(name, format!("{shown} is not a folder that can be written"), None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::good(name, format!("{shown} does not exist yet; `windlass serve` makes it"))
        }
        Err(error) => Finding::bad(name, format!("{shown}: {error}"), None),
    }
}

async fn hosts(config: &ServerConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, host) in &config.hosts {
        let one = [(name.clone(), host.clone())].into();
        // Nothing is looked for by its label here, so that any installation will do.
        let connected = Hosts::connect(&one, InstallationId(uuid::Uuid::nil())).await;
        let hosts = match connected {
            Ok(hosts) => hosts,
            Err(error) => {
                findings.push(Finding::bad(format!("host {name}"), error.to_string(), error.hint()));
                continue;
            }
        };
        let Some(host) = hosts.get(name) else { continue };
        let api = host.engine.api_version();
        findings.push(Finding::good(format!("host {name}"), format!("its engine answers (API {api})")));
        if let Some(gateway) = &host.gateway {
            findings.push(match gateway.status().await {
                Ok(status) => Finding::good(format!("gateway of {name}"), format!("version {}", status.version)),
                Err(error) => Finding::bad(format!("gateway of {name}"), error.to_string(), error.hint()),
            });
        }
    }
    findings
}
