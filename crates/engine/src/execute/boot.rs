//! New containers; and where they may not run beside the old ones, those stop first while the gateways hold what comes.

use std::collections::BTreeMap;

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::AwaitDrained;
use windlass_core::names::HostName;
use windlass_core::plan::{HostService, RetiredTask};
use windlass_core::task::{HostTask, TaskSpec};

use crate::execute::{Hosts, StepContext, all};

/// So many containers of a host start at a time.
const AT_ONCE: usize = 8;

impl Hosts {
    /// Makes room: no request goes to the old tasks any more, those under way end, and then the tasks stop.
    pub(super) async fn give_way(
        &self,
        hold: &[HostService],
        replaces: &[RetiredTask],
        context: &StepContext,
    ) -> Result<(), Failure> {
        all(hold.iter().map(|service| self.hold(service, context))).await?;
        self.drain_and_stop(replaces, context).await.map(drop)
    }

    pub(super) async fn boot(
        &self,
        tasks: &[TaskSpec],
        warm: &[HostTask],
        context: &StepContext,
    ) -> Result<Option<String>, Failure> {
        let mut by_host: BTreeMap<&HostName, Vec<&TaskSpec>> = BTreeMap::new();
        for task in tasks {
            by_host.entry(&task.host).or_default().push(task);
        }
        let boot = by_host.into_iter().map(|(host, tasks)| async move {
            for tasks in tasks.chunks(AT_ONCE) {
                all(tasks.iter().map(|task| self.boot_one(host, task, warm, context))).await?;
            }
            Ok(())
        });
        all(boot).await.map(|_| None)
    }

    async fn boot_one(
        &self,
        host: &HostName,
        task: &TaskSpec,
        warm: &[HostTask],
        context: &StepContext,
    ) -> Result<(), Failure> {
        let engine = self.engine(host)?;
        let is_warm = warm.iter().any(|known| known.host == task.host && known.name == task.name);
        let secrets = context.secrets_of(&task.labels.app);
        if is_warm {
            engine.boot_again(task, &secrets).await?
        } else {
            engine.boot(task, &secrets).await?
        };
        context.note(format!("{} started on {host}", task.name));
        Ok(())
    }

    /// How many requests were cut because their time was over.
    pub(super) async fn drain_and_stop(&self, tasks: &[RetiredTask], context: &StepContext) -> Result<u64, Failure> {
        let stops = tasks.iter().map(|RetiredTask { task, key, signal, grace, .. }| async move {
            let host = self.host(&task.host)?;
            let mut cut = 0;
            if let (Some(key), Some(gateway)) = (key, &host.gateway) {
                let request = AwaitDrained { key: key.clone(), targets: vec![task.name.clone()] };
                let drained = gateway.drained(&request).await;
                cut = drained.map_err(|error| error.into_failure(&task.host, FailureCode::SwitchFailed))?.cut;
            }
            let stopped = host.engine.stop(&task.name, signal, grace.0).await;
            stopped.map_err(|error| error.into_failure(FailureCode::Internal))?;
            context.note(format!("{} stopped on {}", task.name, task.host));
            Ok(cut)
        });
        Ok(all(stops).await?.into_iter().sum())
    }
}
