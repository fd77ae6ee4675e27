//! What one role of one app needs: its new tasks, and what has to give way to them.

use std::collections::BTreeSet;

use crate::config::{RoleConfig, Strategy};
use crate::gateway::Hold;
use crate::names::{AppName, HostName, RoleName};
use crate::plan::steps::retire::retired_task;
use crate::plan::steps::{back, is_old_service, services, tasks};
use crate::plan::{DesiredApp, DesiredState, HostService, PlanError, RetiredTask, hosts_of};
use crate::task::{HostTask, ObservedTask, TaskSpec};

/// One role's part in a plan.
pub(super) struct RolePart<'a> {
    pub(super) app: &'a AppName,
    pub(super) config: &'a RoleConfig,
    pub(super) tasks: Vec<TaskSpec>,
    /// Those of them that have run before and only stopped.
    pub(super) warm: Vec<HostTask>,
    pub(super) services: Vec<HostService>,
    /// Old tasks that stop before the first new one starts.
    pub(super) replaces: Vec<RetiredTask>,
    /// What their gateways have meanwhile: the old routes and nobody to send to.
    pub(super) hold: Vec<HostService>,
}

impl<'a> RolePart<'a> {
    pub(super) fn new(
        desired: &'a DesiredState<'_>,
        observed: &[ObservedTask],
        app: &'a AppName,
        wanted: &'a DesiredApp,
        role: &'a RoleName,
        config: &'a RoleConfig,
    ) -> Result<Self, PlanError> {
        let hosts = places(desired, config);
        if hosts.is_empty() {
            return Err(PlanError::NoHost { stage: desired.stage.clone(), app: app.clone(), role: role.clone() });
        }
        let (tasks, warm) = tasks::of_role(desired, observed, app, wanted, (role, config), &hosts);
        let services = match config.primary {
            true => services::of_role(desired, app, wanted, config, &tasks)?,
            false => Vec::new(),
        };
        let mut part = Self { app, config, tasks, warm, services, replaces: Vec::new(), hold: Vec::new() };
        if part.is_exchanged() {
            part.give_way(desired, observed, wanted, role);
        }
        Ok(part)
    }

    /// Its old tasks stop before its new ones start.
    pub(super) fn is_exchanged(&self) -> bool {
        self.config.strategy != Strategy::StartFirst
    }

    fn give_way(
        &mut self,
        desired: &DesiredState<'_>,
        observed: &[ObservedTask],
        wanted: &DesiredApp,
        role: &RoleName,
    ) {
        let new: BTreeSet<HostTask> = self.tasks.iter().map(TaskSpec::place).collect();
        let previous = wanted.previous.as_ref();
        // The role with the traffic gives way whatever it was called.
        let was_called =
            previous.and_then(|it| it.config.primary()).map(|(name, _)| name).filter(|_| self.config.primary);
        // One that should run and does not may be on its way back at this moment.
        let should_run = |task: &HostTask| previous.is_some_and(|previous| previous.tasks.contains(task));
        let old = observed.iter().filter(|task| {
            let place = super::observed_task(task);
            is_old_service(desired, task)
                && task.labels.app == *self.app
                && (task.labels.role == *role || Some(&task.labels.role) == was_called)
                && (task.status.is_alive() || should_run(&place))
                && !new.contains(&place)
        });
        self.replaces = old.map(|task| retired_task(desired, task)).collect();
        let hosts: BTreeSet<&HostName> = self.replaces.iter().map(|old| &old.task.host).collect();
        let served = hosts.into_iter().filter_map(|host| {
            back::previous_service(desired, observed, (self.app, wanted), host, desired.generations().hold)
        });
        let limits = self.held_requests();
        // Only what the old tasks of this very role served waits for them.
        let replaced: BTreeSet<&str> = self.replaces.iter().map(|old| old.task.name.as_str()).collect();
        self.hold = served
            .filter(|service| service.targets.iter().any(|target| replaced.contains(target.as_str())))
            .map(|service| HostService { targets: Vec::new(), hold: limits, ..service })
            .collect();
    }

    /// With stop-first it is said at once that nobody is there; the others let requests wait.
    fn held_requests(&self) -> Hold {
        match self.config.strategy {
            Strategy::StopFirst => Hold { requests: 0, ..self.config.hold },
            Strategy::StartFirst | Strategy::Singleton | Strategy::Safe => self.config.hold,
        }
    }
}

/// Where it runs. A singleton has one place, however many hosts fit.
pub(super) fn places<'a>(desired: &'a DesiredState<'_>, config: &RoleConfig) -> Vec<&'a crate::plan::PlanHost> {
    let mut hosts = hosts_of(config.hosts.as_deref(), &desired.hosts);
    if config.strategy == Strategy::Singleton {
        hosts.truncate(1);
    }
    hosts
}
