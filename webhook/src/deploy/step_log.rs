//! What the steps of a deployment say, and their containers write: as much as is kept of it, in the store.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use windlass_core::plain::plain;
use windlass_engine::Progress;

use crate::deploy::bounded_log::{BoundedLog, Bounds, Rest};
use crate::service::Service;
use crate::store::deployments::StoredDeployment;

/// Keeps what comes until nobody tells more.
pub(super) async fn write(service: Arc<Service>, deployment: StoredDeployment, mut progress: mpsc::Receiver<Progress>) {
    // A container tells its log from the beginning, also to a step that begins again after a crash.
    let known = service.store.logged_lines(&deployment.id).await.unwrap_or_default();
    let mut logs: HashMap<String, BoundedLog<()>> = HashMap::new();
    let mut batch = Vec::new();
    while progress.recv_many(&mut batch, 200).await > 0 {
        let lines: Vec<(String, String)> = batch
            .drain(..)
            .filter_map(|progress| match progress {
                Progress::Log { source, line } => {
                    let told = known.get(&source).copied().unwrap_or_default();
                    let log = logs.entry(source.clone()).or_insert_with(|| BoundedLog::after(told, Bounds::DEPLOYMENT));
                    log.take((), &plain(&line.line)).map(|((), line)| (source, line))
                }
                Progress::Note(note) => Some(("windlass".to_owned(), note)),
            })
            .collect();
        let accounted = logs.iter().map(|(source, log)| (source.clone(), log.accounted())).collect();
        keep(&service, &deployment, &lines, &accounted).await;
    }
    for (source, log) in logs.into_iter().filter(|(_, log)| log.has_more()) {
        let Rest { gap, lines, seen } = log.end();
        let rest = gap.into_iter().chain(lines.into_iter().map(|((), line)| line));
        let rest: Vec<_> = rest.map(|line| (source.clone(), line)).collect();
        keep(&service, &deployment, &rest, &HashMap::from([(source, seen)])).await;
    }
}

/// What cannot be stored is lost, and says so.
pub(super) async fn keep(
    service: &Service,
    deployment: &StoredDeployment,
    lines: &[(String, String)],
    accounted: &HashMap<String, u64>,
) {
    if lines.is_empty() {
        return;
    }
    if let Err(error) = service.store.append_log(&deployment.id, lines, accounted, service.clock.now()).await {
        tracing::error!(deployment.id = %deployment.id, error = %error, "log lines could not be stored");
    }
}
