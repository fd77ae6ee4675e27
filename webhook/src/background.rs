//! All background work, one line each: what the rooms do when they are woken, and the house's own.

mod forgetting;
mod recovery;
mod sessions;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::deploy::{certificates, one_offs, pulls, queue, reconcile, retention};
use crate::gate::Gate;
use crate::intake::{branches, deliveries, missed, projects};
use crate::service::Service;
use crate::tell::{comments, outbox};
use crate::work::{BackgroundTask, drive};

/// Starts all of it.
pub(crate) fn start(service: &Arc<Service>, gate: &Arc<Gate>) {
    let begin = Begin(service);
    let (wake, parts) = (&service.wake, || Arc::clone(service));
    begin.task(branches::Branches(parts()), &wake.branches);
    begin.task(certificates::CertificateWork::new(parts()), &wake.certificates);
    begin.task(comments::Comments(parts()), &wake.comments);
    begin.task(deliveries::Deliveries::new(parts()), &wake.deliveries);
    begin.task(forgetting::Forgetting(parts()), &wake.forgetting);
    begin.task(missed::Missed::new(parts()), &wake.missed);
    begin.task(outbox::Outbox::new(parts()), &wake.outbox);
    begin.task(projects::Projects(parts()), &wake.projects);
    begin.task(pulls::Pulls::new(parts()), &wake.pulls);
    begin.task(reconcile::Reconcile::new(parts()), &wake.reconcile);
    begin.task(recovery::Recovery(parts()), &service.store.trouble());
    begin.task(retention::Retention::new(parts()), &wake.retention);
    begin.task(sessions::Sessions(parts()), &wake.sessions);
    begin.task(queue::Stages::new(parts(), Arc::clone(gate)), &wake.stages);
    begin.task(one_offs::Tasks(parts()), &wake.tasks);
}

/// Until the service's shutdown.
struct Begin<'a>(&'a Service);

impl Begin<'_> {
    fn task(&self, task: impl BackgroundTask, wake: &Arc<Notify>) {
        drive(task, Arc::clone(wake), &self.0.tracker, self.0.shutdown.clone());
    }
}
