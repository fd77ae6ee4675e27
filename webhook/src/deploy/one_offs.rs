//! Runs the one-off tasks that people started. After a restart it takes up those whose containers still run.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use windlass_core::api::TaskMessage;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::labels::Kind;
use windlass_core::names::HostName;
use windlass_core::quantity;
use windlass_core::secrets::Secrets;
use windlass_core::task::{Exit, LogLine, Stream};
use windlass_engine::{EngineError, Host, TimeLimit};

use crate::at_work::Piece;
use crate::deploy::bounded_log::{BoundedLog, Bounds, Rest};
use crate::service::Service;
use crate::store::StoreError;
use crate::store::audit::Recorded;
use crate::store::tasks::OneOffTask;
use crate::work::BackgroundTask;

pub(crate) struct Tasks(pub(crate) Arc<Service>);

/// The longest that a one-off task may run.
const LIMIT: quantity::Duration = quantity::Duration::from_secs(24 * 60 * 60);

impl BackgroundTask for Tasks {
    const NAME: &'static str = "tasks";
    const PERIOD: Duration = Duration::from_secs(30);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        self.remove_what_ended().await?;
        for task in self.0.store.open_tasks().await? {
            let service = Arc::clone(&self.0);
            self.0.tracker.spawn(async move {
                let Some(_claim) = service.at_work.claim(Piece::OneOff(task.id.clone())) else { return };
                // It may have ended between the look and the claim.
                if !matches!(service.store.task(&task.id).await, Ok(Some(OneOffTask { ended_at: None, .. }))) {
                    return;
                }
                let result = tokio::select! {
                    result = run(&service, &task) => result,
                    () = service.shutdown.cancelled() => Ok(()),
                };
                if let Err(error) = result {
                    tracing::error!(task.id = %task.id, error = %error, "one-off task cannot be written down");
                }
            });
        }
        Ok(None)
    }
}

impl Tasks {
    /// A crash between a task's end and its container's removal leaves the container.
    async fn remove_what_ended(&self) -> anyhow::Result<()> {
        let service = &self.0;
        if service.store.has_ended_tasks().await? {
            for (name, _) in service.hosts.iter() {
                // Each host by itself: one that does not answer keeps no task from starting elsewhere.
                service.tracker.spawn(remove_from(Arc::clone(service), name.clone()));
            }
        }
        Ok(())
    }
}

/// What cannot be removed now is found by the next activation.
async fn remove_from(service: Arc<Service>, name: HostName) {
    let Some(_claim) = service.at_work.claim(Piece::EndedOneOffs(name.clone())) else { return };
    let Some(host) = service.hosts.get(&name) else { return };
    let removal = async {
        for container in host.engine.observe().await? {
            if container.labels.kind == Kind::Task && service.store.is_of_ended_task(&container.name).await? {
                host.engine.remove(&container.name).await?;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        removed = removal => if let Err(error) = removed {
            tracing::debug!(host = %name, error = format!("{error:#}"), "containers of tasks that ended may be left");
        },
        () = service.shutdown.cancelled() => {}
    }
}

async fn run(service: &Service, task: &OneOffTask) -> Result<(), StoreError> {
    let (lines, receiver) = mpsc::channel(256);
    let (end, written) = tokio::join!(to_its_end(service, task, lines), write_log(service, task, receiver));
    written?;
    if end.as_ref().is_err_and(|failure| failure.code == FailureCode::HostUnreachable) {
        // It may well run on; the next activation looks again.
        return Ok(());
    }
    service.store.end_task(&task.id, end.as_ref().map(|exit| exit.code), service.clock.now()).await?;
    if let Some(host) = service.hosts.get(&task.spec.host)
        && let Err(error) = host.engine.remove(&task.spec.name).await
    {
        tracing::warn!(task.id = %task.id, error = %error, "its container could not be removed");
    }
    Ok(())
}

/// Stops one that somebody wants to end, which is on record.
pub(crate) async fn stop(host: &Host, task: &OneOffTask, _: Recorded) -> Result<(), EngineError> {
    let stop = &task.spec.stop;
    host.engine.stop(&task.spec.name, &stop.signal, stop.grace.0).await
}

async fn to_its_end(service: &Service, task: &OneOffTask, lines: mpsc::Sender<LogLine>) -> Result<Exit, Failure> {
    let Some(host) = service.hosts.get(&task.spec.host) else {
        let why = format!("host {} is not in the server's file any more", task.spec.host);
        return Err(Failure::new(FailureCode::HostUnreachable, why));
    };
    let registry = task.spec.image.name.as_ref().map(|name| name.registry().to_owned());
    let credentials = registry.and_then(|registry| service.settings.registries().remove(&registry));
    // A container that is there needs no image any more.
    if host.engine.look(&task.spec.name).await.is_err() {
        host.engine.prepare(&task.spec.image, credentials.as_ref()).await?;
    }
    let secrets: Secrets = service.settings.secrets_for(&task.stage, &task.spec.secrets).into_iter().collect();
    let limit = TimeLimit { time: LIMIT, code: FailureCode::Internal };
    host.engine.run_to_end(&task.spec, &secrets, limit, lines).await
}

/// A container tells its log from the beginning, also to a service that was away: what is stored already is passed over.
/// A line's place in the sequence is its number, also where lines before it were left out.
async fn write_log(service: &Service, task: &OneOffTask, mut lines: mpsc::Receiver<LogLine>) -> Result<(), StoreError> {
    let mut log = BoundedLog::after(service.store.last_of_task_log(&task.id).await?, Bounds::ONE_OFF);
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, 200).await > 0 {
        let new = batch.drain(..).filter_map(|line| log.take((line.at, line.stream), &line.line));
        let new: Vec<TaskMessage> = new.map(message).collect();
        if !new.is_empty() {
            let first = log.accounted() + 1 - new.len() as u64;
            service.store.append_task_log(&task.id, first, &new).await?;
        }
    }
    if !log.has_more() {
        return Ok(());
    }
    let before = log.accounted();
    let Rest { gap, lines, seen } = log.end();
    if let (Some(gap), Some((about, _))) = (gap, lines.first()) {
        service.store.append_task_log(&task.id, before + 1, &[message(((about.0, Stream::Stderr), gap))]).await?;
    }
    let first = seen + 1 - lines.len() as u64;
    service.store.append_task_log(&task.id, first, &lines.into_iter().map(message).collect::<Vec<_>>()).await
}

fn message(((at, stream), line): ((Timestamp, Stream), String)) -> TaskMessage {
    TaskMessage::Line(LogLine { at, stream, line })
}
