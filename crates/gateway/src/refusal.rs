//! The control's noes: what, why and what to do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::gateway::{Route, ServiceKey};
use windlass_core::names::Generation;
use windlass_core::problem::Problem;

use crate::target::Target;

/// Boxed: it is the rare way out.
pub(crate) type Refusal = Box<Problem>;

pub(crate) fn older(key: &ServiceKey, written: Generation, newest: Generation) -> Refusal {
    Problem::new(409, "older_generation", "The service has taken a newer write")
        .detail(format!("{key} has generation {newest}; this is {written}"))
        .hint("Read the status and make a new plan.")
        .into()
}

pub(crate) fn conflict(key: &ServiceKey, generation: Generation) -> Refusal {
    Problem::new(409, "generation_conflict", "The generation was used for something else")
        .detail(format!("{key} has taken another write with generation {generation}"))
        .hint("Write with a generation of its own.")
        .into()
}

pub(crate) fn older_maintenance(key: &ServiceKey, said: u64, newest: u64) -> Refusal {
    Problem::new(409, "older_maintenance", "Something newer was said about the service's maintenance")
        .detail(format!("{key} was told number {newest}; this is {said}"))
        .hint("Read the status and say it again.")
        .into()
}

pub(crate) fn superseded() -> Refusal {
    Problem::new(409, "superseded", "What was prepared was discarded or replaced by a newer write")
        .hint("Prepare again if it is still wanted.")
        .into()
}

pub(crate) fn not_serving(key: &ServiceKey) -> Refusal {
    Problem::new(409, "not_serving", "Not all of the targets serve")
        .detail(format!("{key} sends its requests elsewhere"))
        .hint("Read the status, or ask again when they have been switched to.")
        .into()
}

pub(crate) fn route_taken(route: &Route, owner: &ServiceKey) -> Refusal {
    Problem::new(409, "route_taken", "Another service has the route")
        .detail(format!("{}{} belongs to {owner}", route.host, route.path))
        .hint("Give one of them another url, or remove the one that is not needed.")
        .into()
}

pub(crate) fn unhealthy(targets: &[Arc<Target>], deadline: Duration) -> Refusal {
    let failing = targets.iter().filter(|target| target.state() != windlass_core::gateway::TargetState::Healthy);
    let errors: Vec<String> = failing
        .map(|target| {
            let answer = target.last_answer().unwrap_or_else(|| "no answer yet".to_owned());
            format!("{} ({}): {answer}", target.name, target.address)
        })
        .collect();
    Problem::new(422, "unhealthy", "Not all targets became healthy in time")
        .detail(format!(
            "{} of {} are not healthy after {}",
            errors.len(),
            targets.len(),
            windlass_core::quantity::Duration(deadline)
        ))
        .errors(errors)
        .into()
}

pub(crate) fn in_use(name: &str) -> Refusal {
    Problem::new(409, "in_use", "A target that is waited for serves requests")
        .detail(format!("target: {name}"))
        .hint("Switch away from it first.")
        .into()
}

pub(crate) fn snapshot(error: &io::Error) -> Refusal {
    Problem::new(500, "snapshot_failed", "The change could not be recorded and was not made")
        .detail(error.to_string())
        .hint("Make room or fix the permissions of the gateway's data folder, then try again.")
        .into()
}

pub(crate) fn stopping() -> Refusal {
    Problem::new(503, "stopping", "The gateway stops").hint("Try again when it is back.").into()
}

pub(crate) fn invalid(errors: Vec<String>) -> Refusal {
    Problem::new(422, "invalid_request", "The request asks for what cannot be").errors(errors).into()
}

pub(crate) fn unreadable(reason: impl ToString) -> Refusal {
    Problem::new(400, "invalid_request", "The request's body is not what is expected here")
        .detail(reason.to_string())
        .into()
}

pub(crate) fn unknown_path(method: &str, path: &str) -> Refusal {
    Problem::new(404, "not_found", "There is no such request").detail(format!("{method} {path}")).into()
}
