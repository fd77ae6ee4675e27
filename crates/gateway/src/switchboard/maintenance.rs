//! Keeping an app from its clients, and letting them in again.

use std::sync::Arc;

use windlass_core::gateway::SetMaintenance;

use super::{Switchboard, activate, snapshot_of, table_of};
use crate::entry::Entry;
use crate::lineage::Order;
use crate::refusal::{self, Refusal};

impl Switchboard {
    pub(crate) async fn maintain(&self, request: SetMaintenance) -> Result<(), Refusal> {
        // As a switch: on disk and in the table, or in neither.
        self.unstoppable(|board| async move { board.set_maintenance(request).await }).await
    }

    async fn set_maintenance(&self, request: SetMaintenance) -> Result<(), Refusal> {
        let mut entries = self.entries_to_change().await?;
        let (key, is_on) = (request.key.clone(), request.maintenance.is_some());
        let entry = entries.entry(key.clone()).or_default();
        match &entry.maintenance {
            Some(known) if *known == request => return Ok(()),
            Some(known) if known.number >= request.number => {
                return Err(refusal::older_maintenance(&key, request.number, known.number));
            }
            Some(_) | None => {}
        }
        let before = entry.maintenance.replace(request.clone());
        let spec = entry.active.as_ref().map(|active| active.spec().clone());
        if let Err(error) = self.snapshot.store(&snapshot_of(&entries, &key, spec.as_ref())).await {
            let entry = entries.entry(key).or_default();
            entry.maintenance = before;
            return Err(refusal::snapshot(&error));
        }
        tracing::info!(service.key = %key, maintenance = is_on, "told of maintenance");
        self.predecessors.tell(Order::maintain(request)).await;
        if let Some(entry) = entries.get_mut(&key) {
            self.activate_again(entry);
        }
        self.table.store(Arc::new(table_of(&entries)));
        if let Some(entry) = entries.get(&key) {
            // Who waits for the app is not kept waiting.
            entry.hold.wake();
        }
        Ok(())
    }

    /// With what was said of maintenance since.
    pub(super) fn activate_again(&self, entry: &mut Entry) {
        if let Some(active) = entry.active.take() {
            let spec = active.spec().clone();
            let active = activate(spec, active.members, entry, self.meters.as_deref());
            entry.active = Some(active);
        }
    }
}
