//! What the service needs, looked at one by one, without starting it.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use windlass_core::config::{HostConfig, LogBound, ServerConfig};
use windlass_core::hint::Hint;
use windlass_core::names::{HostName, InstallationId};
use windlass_engine::{GatewayClient, Identities, bounds_logs};

use crate::certificates::NameState;
use crate::config::Settings;
use crate::serve::environment;
use crate::sight::PATIENCE;

mod certificates;
mod github;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub name: String,
    pub found: Checked,
    /// What to do, if something is wrong.
    pub hint: Option<String>,
}

/// What was found, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is as it should be.
    Good(String),
    /// It works without, but not as well.
    Doubtful(String),
    /// Something does not work.
    Bad(String),
}

impl Finding {
    fn good(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), found: Checked::Good(found.into()), hint: None }
    }

    fn doubtful(name: impl Into<String>, wrong: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.into(), found: Checked::Doubtful(wrong.into()), hint }
    }

    fn bad(name: impl Into<String>, wrong: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.into(), found: Checked::Bad(wrong.into()), hint }
    }

    const fn is_bad(&self) -> bool {
        matches!(self.found, Checked::Bad(_))
    }
}

/// Looks at the secrets, the data folder, the hosts with their gateways, and GitHub.
pub async fn doctor(config: &ServerConfig) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        config.warnings().into_iter().map(|warning| Finding::doubtful("server's file", warning, None)).collect();
    findings.push(folder(config));
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

/// Docker bounds no log by itself, and does not tell what its daemon was told.
fn logs(host: &HostName, driver: Option<String>) -> Finding {
    let name = format!("logs of {host}");
    let Some(driver) = driver else {
        return Finding::doubtful(name, "its engine does not say where logs go", None);
    };
    if !bounds_logs(&driver) {
        let hint =
            format!("bound it where {driver} is set up, or set `log-driver` to `local` in /etc/docker/daemon.json");
        let wrong = format!("they go to {driver}, which takes no bound from Windlass: `log` has no effect");
        return Finding::doubtful(name, wrong, Some(hint));
    }
    let LogBound { max_size, max_file } = LogBound::default();
    Finding::good(
        name,
        format!(
            "{driver}; of each task {max_file} files of {max_size} unless its role has a `log`; containers that are \
             not Windlass' have the daemon's `log-opts`, by default no bound"
        ),
    )
}

async fn hosts(config: &ServerConfig) -> Vec<Finding> {
    let identities = &Identities::default();
    let known = &crate::certificates::kept_states(config);
    let looks = join_all(config.hosts.iter().map(|(name, config)| host(name, config, identities, known)));
    let (mut findings, authority) = tokio::join!(looks, certificates::authority(config));
    findings.push(authority.into_iter().collect());
    findings.concat()
}

/// All hosts are asked together, so that one that does not answer costs the others nothing.
async fn host(
    name: &HostName,
    config: &HostConfig,
    identities: &Identities,
    known: &BTreeMap<String, NameState>,
) -> Vec<Finding> {
    let one = [(name.clone(), config.clone())].into();
    // Nothing is looked for by its label here, so that any installation will do.
    let connect = tokio::time::timeout(PATIENCE, identities.connect(&one, InstallationId(uuid::Uuid::nil())));
    let gateway = async {
        let client = GatewayClient::new(config.gateway.as_ref()?.control.clone());
        let asked = tokio::time::timeout(PATIENCE, client.status()).await;
        Some((client, asked))
    };
    let (connected, gateway) = tokio::join!(connect, gateway);
    let (called, silent) = (format!("host {name}"), "gave no answer within 1.5s");
    let mut findings = vec![match &connected {
        Ok(Ok(hosts)) => {
            let api = hosts.get(name).map(|host| host.engine.api_version()).unwrap_or_default();
            Finding::good(called, format!("its engine answers (API {api})"))
        }
        Ok(Err(error)) => Finding::bad(called, error.to_string(), error.hint()),
        Err(_) => {
            let hint = "the socket takes connections and nobody answers: restart Docker there, or look into its log";
            Finding::bad(called, format!("its engine {silent}"), Some(hint.to_owned()))
        }
    }];
    if let Ok(Ok(hosts)) = &connected
        && let Some(host) = hosts.get(name)
    {
        let driver = tokio::time::timeout(PATIENCE, host.engine.log_driver()).await;
        findings.push(logs(name, driver.ok().flatten()));
    }
    if let (Some((_, Ok(Ok(status)))), Some(listen)) = (&gateway, &config.gateway) {
        findings.extend(certificates::of_gateway(name, listen, status, known));
    }
    findings.extend(gateway.map(|(client, asked)| {
        let called = format!("gateway of {name}");
        match asked {
            Ok(Ok(status)) => Finding::good(called, format!("version {}", status.version)),
            Ok(Err(error)) => Finding::bad(called, error.to_string(), error.hint()),
            Err(_) => {
                let hint = "restart `windlass gateway` on that host".to_owned();
                Finding::bad(called, format!("it {silent} on {}", client.control().display()), Some(hint))
            }
        }
    }));
    findings
}
