//! Hosts that are away when the service starts, and join later.

use std::collections::BTreeMap;
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

impl Hosts {
    /// Finds the engines of the server's file. One that does not answer yet is there all the same: what is asked of it
    /// fails until it does.
    ///
    /// # Errors
    ///
    /// When an engine's address is of a kind that this version cannot reach.
    pub async fn expect(
        hosts: &BTreeMap<HostName, HostConfig>,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        let expect = hosts.iter().map(|(name, config)| async move {
            let engine = Engine::expect(name.clone(), &config.docker, installation)?;
            match tokio::time::timeout(AT_START, engine.agree()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(host = %name, %error, "the host joins once its engine answers"),
                Err(_) => tracing::warn!(host = %name, "its engine is silent; the host joins once it answers"),
            }
            let gateway = config.gateway.as_ref().map(|gateway| GatewayClient::new(gateway.control.clone()));
            Ok((name.clone(), Host { engine, gateway }))
        });
        Ok(try_join_all(expect).await?.into_iter().collect())
    }
}
