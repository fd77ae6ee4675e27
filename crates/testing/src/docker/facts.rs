//! What a test sees of a container.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::container::{Container, HealthStatus, Status};
use super::model::Model;

/// A container, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeContainer {
    /// Docker's id for it.
    pub id: String,
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// As sent.
    pub labels: BTreeMap<String, String>,
    /// As sent.
    pub env: BTreeMap<String, String>,
    /// As sent; empty for the image's own.
    pub command: Vec<String>,
    /// Where it is in its life.
    pub state: State,
    /// What its health check says; `None` without one.
    pub health: Option<Health>,
    /// The address that it has now, or will have when it is started.
    pub address: Option<Ipv4Addr>,
    /// Of its last end; 0 before it.
    pub exit_code: i64,
    /// How often its process was started.
    pub starts: u64,
    /// How many requests it was sent, in all its lives; also those that are still under way.
    pub requests: u64,
    /// Its restart policy: `no`, `unless-stopped`, …
    pub restart_policy: &'static str,
}

impl FakeContainer {
    /// Whether its process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended, and its policy starts it again in a moment.
    Restarting,
    /// Its process has ended.
    Exited,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

pub(super) fn containers(model: &Model) -> Vec<FakeContainer> {
    let mut containers: Vec<_> = model.containers.values().map(facts).collect();
    containers.sort_by(|one, other| one.name.cmp(&other.name));
    containers
}

fn facts(container: &Container) -> FakeContainer {
    FakeContainer {
        id: container.id.clone(),
        name: container.name.clone(),
        image: container.body["Image"].as_str().unwrap_or_default().to_owned(),
        labels: container.labels.clone(),
        env: container.env.clone(),
        command: container.command.clone().unwrap_or_default(),
        state: match container.status {
            Status::Created => State::Created,
            Status::Running => State::Running,
            Status::Restarting => State::Restarting,
            Status::Exited => State::Exited,
        },
        health: container.health.as_ref().map(|health| match health.status {
            HealthStatus::Starting => Health::Starting,
            HealthStatus::Healthy => Health::Healthy,
            HealthStatus::Unhealthy => Health::Unhealthy,
        }),
        address: container.address().or_else(|| container.endpoint.as_ref()?.asked),
        exit_code: container.exit_code,
        starts: container.starts,
        requests: container.requests.load(std::sync::atomic::Ordering::Relaxed),
        restart_policy: container.restart.as_str(),
    }
}
