//! One-off tasks that people start: a release's own image and environment, a command of their choice, no service.

use crate::labels::Kind;
use crate::names::{AppName, TaskId};
use crate::plan::steps::one_task;
use crate::plan::{DesiredState, PlanError, hosts_of};
use crate::task::TaskSpec;

/// The container of a one-off task of `app`, on the first host that its primary role runs on.
///
/// # Errors
///
/// When no host of the stage fits.
pub fn one_off(
    desired: &DesiredState<'_>,
    app: &AppName,
    id: &TaskId,
    command: Vec<String>,
) -> Result<Option<TaskSpec>, PlanError> {
    let Some(wanted) = desired.apps.get(app) else { return Ok(None) };
    let Some((role, config)) = wanted.config.primary() else { return Ok(None) };
    let hosts = hosts_of(config.hosts.as_deref(), &desired.hosts);
    let Some(host) = hosts.first() else {
        return Err(PlanError::NoHost { stage: desired.stage.clone(), app: app.clone(), role: role.clone() });
    };
    let mut task = one_task(desired, app, wanted, (role, config), Kind::Task, &host.name, id.as_str());
    task.command = Some(command);
    task.labels.deployment = None;
    Ok(Some(task))
}
