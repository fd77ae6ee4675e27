//! What Docker does to an installation's containers, in Docker's own words and order.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use windlass_core::{Timestamp, labels};

use crate::world::{PATIENCE, World};

/// Listens from its start to its end.
pub(crate) struct ContainerEvents {
    seen: watch::Receiver<Vec<ContainerEvent>>,
    _docker: Child,
}

#[derive(Debug, Clone)]
pub(crate) struct ContainerEvent {
    /// `create`, `start`, `kill`, `die`, `destroy`, …
    pub(crate) action: String,
    pub(crate) at: Timestamp,
    attributes: BTreeMap<String, String>,
}

impl ContainerEvent {
    pub(crate) fn is(&self, action: &str, kind: labels::Kind, release: u64) -> bool {
        self.action == action && self.label(labels::KIND) == kind.as_str() && self.is_of(release)
    }

    pub(crate) fn is_of(&self, release: u64) -> bool {
        self.label(labels::RELEASE) == release.to_string()
    }

    fn label(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl ContainerEvents {
    pub(crate) fn of(world: &World) -> Self {
        // Docker keeps its last events: none is lost while the connection is made.
        let now = Timestamp::now();
        let since = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let ours = format!("label={}={}", labels::INSTALLATION, world.engine.installation());
        let mut docker = Command::new("docker")
            .args(["events", "--since", &since, "--filter", "type=container", "--filter", &ours])
            .args(["--format", "{{json .}}"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (send, seen) = watch::channel(Vec::new());
        tokio::spawn(listen(docker.stdout.take().unwrap(), send));
        Self { seen, _docker: docker }
    }

    /// The first event of this kind, which may have come already.
    pub(crate) async fn until(&self, wanted: impl Fn(&ContainerEvent) -> bool) -> ContainerEvent {
        let mut seen = self.seen.clone();
        let come = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| seen.iter().any(&wanted))).await;
        assert!(come.is_ok(), "this event did not come, but {:#?}", self.so_far());
        drop(come);
        self.so_far().into_iter().find(wanted).unwrap()
    }

    /// All that have come. Docker keeps their order: what is before one that was waited for is among them.
    pub(crate) fn so_far(&self) -> Vec<ContainerEvent> {
        self.seen.borrow().clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&ContainerEvent) -> bool) -> usize {
        self.so_far().into_iter().filter(wanted).count()
    }
}

async fn listen(output: ChildStdout, seen: watch::Sender<Vec<ContainerEvent>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let event: Wire = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let at = Timestamp::from_nanosecond(event.time_nano).unwrap();
        let event = ContainerEvent { action: event.action, at, attributes: event.actor.attributes };
        seen.send_modify(|seen| seen.push(event));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    action: String,
    actor: Actor,
    #[serde(rename = "timeNano")]
    time_nano: i128,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    attributes: BTreeMap<String, String>,
}
