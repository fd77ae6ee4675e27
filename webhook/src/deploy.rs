//! From what is wanted to what runs: the queue of each stage, the plan, the runner, and what keeps it so afterwards.

pub(crate) mod bounded_log;
pub(crate) mod catch_up;
pub(crate) mod certificates;
pub(crate) mod host_names;
pub(crate) mod hosts;
pub(crate) mod maintenance;
pub(crate) mod one_offs;
mod pages;
pub(crate) mod planning;
pub(crate) mod pulls;
pub(crate) mod queue;
pub(crate) mod reconcile;
pub(crate) mod retention;
pub(crate) mod runner;
pub(crate) mod stale;
mod step_log;
