//! What the engine has, and what happened to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::container::Container;
use super::image::Image;
use super::network::{Network, Subnets};
use super::refusal::Refusal;

pub(super) struct Model {
    pub(super) name: String,
    /// Of this engine and of no other, whatever their names are.
    pub(super) id: String,
    /// By id.
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) networks: Vec<Network>,
    pub(super) subnets: Subnets,
    pub(super) images: Vec<Image>,
    pub(super) volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Since the daemon was started last.
    pub(super) events: Vec<Event>,
    /// The exit codes of containers that are gone, for those who wait.
    pub(super) gone: BTreeMap<String, i64>,
    /// Every start of a process, oldest first.
    pub(super) runs: Vec<Run>,
    /// Every image that was pulled, oldest first.
    pub(super) pulls: Vec<String>,
    /// The daemon is going down: what ends now is not started again before it is back.
    pub(super) shutting_down: bool,
    counter: u64,
    clock: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) action: String,
    pub(super) container: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) at: Timestamp,
}

/// One start of a container's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub container: String,
    /// Its command; empty for the image's own.
    pub command: Vec<String>,
    /// When it was started.
    pub at: Timestamp,
}

impl Model {
    pub(super) fn new(name: &str, subnet_index: u8) -> Self {
        Self {
            name: name.to_owned(),
            id: format!("{name}-{:032x}", rand::random::<u128>()),
            containers: BTreeMap::new(),
            networks: Vec::new(),
            subnets: Subnets::new(subnet_index),
            images: Vec::new(),
            volumes: BTreeMap::new(),
            events: Vec::new(),
            gone: BTreeMap::new(),
            runs: Vec::new(),
            pulls: Vec::new(),
            shutting_down: false,
            counter: 0,
            clock: Timestamp::UNIX_EPOCH,
        }
    }

    /// Later than ever before: whoever asks for what came after an event must not miss one of the same moment.
    pub(super) fn now(&mut self) -> Timestamp {
        let next = self.clock + jiff::SignedDuration::from_nanos(1);
        self.clock = next.max(Timestamp::now());
        self.clock
    }

    pub(super) fn new_id(&mut self) -> String {
        self.counter += 1;
        hex::encode(Sha256::digest(format!("{} {}", self.name, self.counter)))
    }

    /// By id or name.
    pub(super) fn container(&self, reference: &str) -> Result<&Container, Refusal> {
        let found = self.containers.get(reference).or_else(|| self.containers.values().find(|it| it.is(reference)));
        found.ok_or_else(|| Refusal::no_container(reference))
    }

    /// The same, to change it.
    pub(super) fn container_mut(&mut self, reference: &str) -> Result<&mut Container, Refusal> {
        let id = self.container(reference)?.id.clone();
        self.containers.get_mut(&id).ok_or_else(|| Refusal::no_container(reference))
    }

    /// Something happened to a container.
    pub(super) fn emit(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        let at = self.now();
        let Some(container) = self.containers.get(id) else { return };
        let mut attributes = container.labels.clone();
        attributes.insert("image".to_owned(), container.body["Image"].as_str().unwrap_or_default().to_owned());
        attributes.insert("name".to_owned(), container.name.clone());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.events.push(Event { action: action.to_owned(), container: id.to_owned(), attributes, at });
    }
}
