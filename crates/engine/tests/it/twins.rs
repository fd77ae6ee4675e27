//! Two hosts of the server's file that are one engine.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::net::UnixListener;
use windlass_core::config::{DockerEndpoint, HostConfig};
use windlass_core::hint::Hint;
use windlass_core::names::{HostName, InstallationId};
use windlass_core::subnet::Subnet;
use windlass_engine::{EngineError, Hosts};
use windlass_testing::faults::FaultProxy;

use crate::lab::SOCKET;

fn hosts(sockets: &[(&str, &Path)]) -> BTreeMap<HostName, HostConfig> {
    let config = |socket: &Path| HostConfig {
        docker: DockerEndpoint::Unix(socket.to_owned()),
        labels: Vec::new(),
        gateway: None,
        networks: Subnet::DEFAULT_POOL,
    };
    sockets.iter().map(|(name, socket)| (name.parse().unwrap(), config(socket))).collect()
}

fn is_refused(error: &EngineError) {
    assert!(matches!(error, EngineError::SameEngine { .. }), "{error}");
    assert!(error.to_string().contains("alpha") && error.to_string().contains("beta"), "{error}");
    assert!(error.hint().unwrap().contains("[hosts.beta]"), "{error}");
}

#[tokio::test]
async fn two_hosts_that_are_one_engine_are_refused_by_both_names() {
    let proxy = FaultProxy::start(Path::new(SOCKET));
    let installation = InstallationId(uuid::Uuid::new_v4());
    let both = hosts(&[("alpha", Path::new(SOCKET)), ("beta", proxy.socket())]);
    is_refused(&Hosts::expect(&both, installation).await.unwrap_err());
    is_refused(&Hosts::connect(&both, installation).await.unwrap_err());
    Hosts::expect(&hosts(&[("beta", proxy.socket())]), installation).await.unwrap();
}

#[tokio::test]
async fn a_host_that_answers_later_and_is_another_ones_engine_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("docker.sock");
    // Its socket is there, and nobody listens.
    drop(UnixListener::bind(&late).unwrap());
    let both = hosts(&[("alpha", Path::new(SOCKET)), ("beta", &late)]);
    let hosts = Hosts::expect(&both, InstallationId(uuid::Uuid::new_v4())).await.unwrap();
    let engine = |name: &str| hosts.get(&name.parse().unwrap()).unwrap().engine.clone();
    let proxy = FaultProxy::start(Path::new(SOCKET));
    std::fs::remove_file(&late).unwrap();
    std::os::unix::fs::symlink(proxy.socket(), &late).unwrap();
    let beta = engine("beta");
    is_refused(&beta.observe().await.unwrap_err());
    is_refused(&beta.ping().await.unwrap_err());
    is_refused(&beta.look("anything").await.unwrap_err());
    engine("alpha").observe().await.unwrap();
}
