//! What surrounds a task's process, in Docker's words; and the networks beside its own.

use std::collections::HashMap;

use bollard::models::{HostConfig, HostConfigLogConfig, NetworkConnectRequest, ResourcesUlimits};
use bollard::query_parameters::InspectNetworkOptions;
use windlass_core::config::{LogBound, Sandbox};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::task::TaskSpec;
use windlass_docker::{status, words};

use crate::engine::Engine;

/// Drivers that keep logs in files on the host, and take a bound for them.
const BOUNDED_DRIVERS: [&str; 2] = ["json-file", "local"];

/// How Docker says that a container is on a network already.
const CONNECTED: &str = "already exists in network";

/// The host's part of a container that is confined so.
pub(crate) fn confined(sandbox: &Sandbox, driver: Option<&str>) -> HostConfig {
    let ulimits = sandbox.ulimits.iter().map(|(name, bound)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(bound.soft),
        hard: Some(bound.hard),
    });
    let tmpfs = sandbox.tmpfs.iter().map(|tmpfs| (tmpfs.target.clone(), format!("size={}", tmpfs.size.0)));
    HostConfig {
        init: Some(sandbox.init),
        readonly_rootfs: Some(sandbox.read_only),
        tmpfs: Some(tmpfs.collect()),
        shm_size: sandbox.shm.and_then(|size| i64::try_from(size.0).ok()),
        ulimits: Some(ulimits.collect()),
        extra_hosts: Some(sandbox.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
        pids_limit: sandbox.pids.map(i64::from),
        security_opt: (!sandbox.new_privileges).then(|| vec!["no-new-privileges".to_owned()]),
        cap_add: Some(sandbox.capabilities.clone()),
        cap_drop: Some(sandbox.drop_capabilities.clone()),
        log_config: driver.filter(|driver| bounds_logs(driver)).map(|driver| log_config(driver, sandbox.log)),
        ..Default::default()
    }
}

fn log_config(driver: &str, bound: LogBound) -> HostConfigLogConfig {
    let options = [
        ("max-size", bound.max_size.to_string().trim_end_matches('b').to_owned()),
        ("max-file", bound.max_file.to_string()),
    ];
    let config: HashMap<String, String> = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(config) }
}

/// Whether the engine's driver takes a bound for a container's log.
#[must_use]
pub fn bounds_logs(driver: &str) -> bool {
    BOUNDED_DRIVERS.contains(&driver)
}

impl Engine {
    /// Where the engine puts the logs of containers that ask for nothing: `json-file`, `journald`. Asked each time, as an
    /// engine may come back from a restart with another one.
    pub async fn log_driver(&self) -> Option<String> {
        self.docker().info().await.ok()?.logging_driver
    }

    /// Connects a container that does not run yet to the networks that its role asks for. When a container is made,
    /// Docker 20.10 takes one network only; and it connects one that never ran to a network that is not there, so that is
    /// looked at first.
    pub(crate) async fn connect_networks(&self, task: &TaskSpec) -> Result<(), Failure> {
        for network in &task.sandbox.networks {
            let request = NetworkConnectRequest { container: task.name.clone(), endpoint_config: None };
            let connected = match self.docker().inspect_network(network, None::<InspectNetworkOptions>).await {
                Ok(_) => self.docker().connect_network(network, request).await,
                Err(error) => Err(error),
            };
            let Err(error) = connected else { continue };
            if words(&error).contains(CONNECTED) {
                continue;
            }
            let host = self.host();
            let gone = status(&error) == Some(404);
            let failure = self.error(format!("connect {} to the network {network}", task.name), &error);
            let failure = failure.into_failure(FailureCode::BootFailed);
            return Err(match gone {
                true => failure.hint(format!("make it on host {host}: `docker network create {network}`")),
                false => failure,
            });
        }
        Ok(())
    }
}
