//! All background work, one line each: what the rooms do when they are woken, and the house's own.

mod forgetting;
mod recovery;
mod sessions;

use std::sync::Arc;

use crate::deploy::{one_offs, pulls, queue, reconcile, retention};
use crate::intake::{branches, deliveries, missed, projects};
use crate::service::App;
use crate::tell::{comments, outbox};
use crate::work::drive;

/// Starts all of it.
pub(crate) fn start(app: &Arc<App>) {
    let (tracker, stop) = (&app.tracker, || app.shutdown.clone());
    let wake = &app.wake;
    drive(branches::Branches(Arc::clone(app)), Arc::clone(&wake.branches), tracker, stop());
    drive(comments::Comments(Arc::clone(app)), Arc::clone(&wake.comments), tracker, stop());
    drive(deliveries::Deliveries::new(Arc::clone(app)), Arc::clone(&wake.deliveries), tracker, stop());
    drive(forgetting::Forgetting(Arc::clone(app)), Arc::clone(&wake.forgetting), tracker, stop());
    drive(missed::Missed::new(Arc::clone(app)), Arc::clone(&wake.missed), tracker, stop());
    drive(outbox::Outbox::new(Arc::clone(app)), Arc::clone(&wake.outbox), tracker, stop());
    drive(projects::Projects(Arc::clone(app)), Arc::clone(&wake.projects), tracker, stop());
    drive(pulls::Pulls::new(Arc::clone(app)), Arc::clone(&wake.pulls), tracker, stop());
    drive(reconcile::Reconcile::new(Arc::clone(app)), Arc::clone(&wake.reconcile), tracker, stop());
    drive(recovery::Recovery(Arc::clone(app)), app.store.trouble(), tracker, stop());
    drive(retention::Retention::new(Arc::clone(app)), Arc::clone(&wake.retention), tracker, stop());
    drive(sessions::Sessions(Arc::clone(app)), Arc::clone(&wake.sessions), tracker, stop());
    drive(queue::Stages(Arc::clone(app)), Arc::clone(&wake.stages), tracker, stop());
    drive(one_offs::Tasks(Arc::clone(app)), Arc::clone(&wake.tasks), tracker, stop());
}
