//! Hosts that are away when the service starts, and join later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use windlass_core::config::HostConfig;
use windlass_core::names::{HostName, InstallationId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::execute::{Host, Hosts};
use crate::gateway::GatewayClient;

/// So long an engine is waited for when the service starts.
const AT_START: Duration = Duration::from_secs(2);
/// Which engine is which host: the first to answer has it.
#[derive(Debug, Clone, Default)]
pub struct Identities(Arc<Mutex<BTreeMap<String, HostName>>>);

/// The host that an engine is already.
#[derive(Clone)]
pub(crate) struct Twin {
    pub(crate) other: HostName,
    pub(crate) id: String,
}

impl Identities {
    /// Finds every engine, as [`Hosts::connect`] does, and compares it with those that were found before.
    ///
    /// # Errors
    ///
    /// When one does not answer, or is another host's engine.
    pub async fn connect(
        &self,
        hosts: &BTreeMap<HostName, HostConfig>,
        installation: InstallationId,
    ) -> Result<Hosts, EngineError> {
        let connect = hosts.iter().map(|(name, config)| async move {
            let host = self.host(name, config, installation)?;
            host.engine.agree().await?;
            Ok((name.clone(), host))
        });
        Ok(try_join_all(connect).await?.into_iter().collect())
    }

    fn host(&self, name: &HostName, config: &HostConfig, installation: InstallationId) -> Result<Host, EngineError> {
        let engine = Engine::expect(name.clone(), &config.docker, installation)?;
        let engine = engine.with_networks(config.networks).among(self.clone());
        let gateway = config.gateway.as_ref().map(|gateway| GatewayClient::new(gateway.control.clone()));
        Ok(Host { engine, gateway })
    }

    /// Another host that has it already.
    pub(crate) fn claim(&self, id: String, host: &HostName) -> Option<Twin> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = known.entry(id.clone()).or_insert_with(|| host.clone());
        (other != host).then(|| Twin { other: other.clone(), id })
    }
}

impl Hosts {
    /// Finds the engines of the server's file. One that does not answer yet is there all the same: what is asked of it
    /// fails until it does.
    ///
    /// # Errors
    ///
    /// When an engine's address is of a kind that this version cannot reach, or two hosts are one engine. One that turns
    /// out to be another host's engine later is refused then.
    pub async fn expect(
        hosts: &BTreeMap<HostName, HostConfig>,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        let identities = &Identities::default();
        let expect = hosts.iter().map(|(name, config)| async move {
            let host = identities.host(name, config, installation)?;
            match tokio::time::timeout(AT_START, host.engine.agree()).await {
                Ok(Ok(())) => {}
                Ok(Err(twin @ EngineError::SameEngine { .. })) => return Err(twin),
                Ok(Err(error)) => tracing::warn!(host = %name, %error, "the host joins once its engine answers"),
                Err(_) => tracing::warn!(host = %name, "its engine is silent; the host joins once it answers"),
            }
            Ok((name.clone(), host))
        });
        Ok(try_join_all(expect).await?.into_iter().collect())
    }

    /// What projects may mount, on every host: see [`Engine::with_mountable`].
    #[must_use]
    pub fn with_mountable(self, mountable: &[String]) -> Self {
        let hosts = self.iter().map(|(name, host)| {
            let engine = host.engine.clone().with_mountable(mountable.to_vec());
            (name.clone(), Host { engine, gateway: host.gateway.clone() })
        });
        hosts.collect()
    }
}
