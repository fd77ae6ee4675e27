//! An engine that goes away and comes back: a socket between Windlass and Docker that can be cut.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use windlass_core::config::{DockerEndpoint, HealthCheck, HostConfig};
use windlass_core::deployment::FailureCode;
use windlass_core::secrets::Masker;
use windlass_core::subnet::Subnet;
use windlass_engine::{EngineError, HostEvent, Hosts, TaskChange};

use crate::lab::{Lab, SOCKET, check, connect_to, health};

struct Line {
    socket: PathBuf,
    connections: Option<tokio::task::JoinHandle<()>>,
}

impl Line {
    fn open(socket: PathBuf) -> Self {
        let mut line = Self { socket, connections: None };
        line.mend();
        line
    }

    fn mend(&mut self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        self.connections = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut docker = UnixStream::connect(SOCKET).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut docker).await;
                });
            }
        }));
    }

    fn cut(&mut self) {
        self.connections.take().unwrap().abort();
        std::fs::remove_file(&self.socket).unwrap();
    }
}

#[tokio::test]
async fn a_wait_for_an_end_and_the_events_survive_an_engine_that_comes_back() {
    let lab = Lab::open().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let mut line = Line::open(socket.clone());
    let engine = connect_to(socket, lab.engine.installation()).await;
    let task = lab.one_off("sleep", &["sleep", "60000"]);
    lab.boot(&task).await;

    let mut events = Box::pin(engine.events());
    let outage = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        line.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        lab.engine.stop(&task.name, "SIGTERM", Duration::from_secs(5)).await.unwrap();
        line.mend();
    };
    let seen = async {
        let mut seen = Vec::new();
        while !seen.iter().any(|event| matches!(event, HostEvent::Task(task) if task.change == TaskChange::Died(143))) {
            seen.push(tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap());
        }
        seen
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), engine.ended(&task.name));
    let ((), seen, ended) = tokio::join!(outage, seen, ended);
    assert_eq!(ended.unwrap().unwrap().code, 143);
    assert!(seen.contains(&HostEvent::Reconnected), "{seen:?}");
}

#[tokio::test]
async fn an_engine_that_stays_away_is_called_that_and_not_the_tasks_fault() {
    let lab = Lab::open().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let mut line = Line::open(socket.clone());
    let engine = connect_to(socket, lab.engine.installation()).await;
    let mut task = lab.task("web-1");
    task.health = Some(health(HealthCheck::Command(vec!["/app".to_owned(), "health".to_owned()])));
    lab.boot(&task).await;
    line.cut();
    assert!(matches!(engine.observe().await, Err(EngineError::Unreachable { .. })));
    assert!(matches!(engine.stop(&task.name, "SIGTERM", Duration::ZERO).await, Err(EngineError::Unreachable { .. })));
    let failure = engine.await_healthy(&check(&task), &Masker::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::HostUnreachable, "{failure:?}");
    line.mend();
    engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_away_at_first_joins_as_soon_as_it_answers() {
    let lab = Lab::open().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    // Its socket is there, and nobody listens.
    drop(UnixListener::bind(&socket).unwrap());
    let hosts = BTreeMap::from([(
        lab.engine.host().clone(),
        HostConfig {
            docker: DockerEndpoint::Unix(socket.clone()),
            labels: Vec::new(),
            gateway: None,
            networks: Subnet::DEFAULT_POOL,
        },
    )]);
    assert!(Hosts::connect(&hosts, lab.engine.installation()).await.is_err());
    let hosts = Hosts::expect(&hosts, lab.engine.installation()).await.unwrap();
    let engine = hosts.get(lab.engine.host()).unwrap().engine.clone();
    assert!(matches!(engine.observe().await, Err(EngineError::Unreachable { .. })));

    let mut events = Box::pin(engine.events());
    let joins = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::remove_file(&socket).unwrap();
        Line::open(socket.clone())
    };
    let (_line, event) = tokio::join!(joins, tokio::time::timeout(Duration::from_secs(10), events.next()));
    assert_eq!(event.unwrap(), Some(HostEvent::Reconnected));
    assert_eq!(engine.observe().await.unwrap(), []);
    assert_eq!(engine.api_version(), lab.engine.api_version(), "and they agree on a version");
}
