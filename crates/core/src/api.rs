//! What the service and its clients say to each other under `/api/v1`, by resource. Bodies are JSON in snake_case; `S` is
//! `/projects/{owner}/{repository}/stages/{stage}`.

mod deployments;
mod hosts;
mod locks;
mod maintenance;
mod page;
mod releases;
mod sign_in;
mod stages;
mod tasks;
mod tokens;

pub use deployments::{
    DeploymentMessage, DeploymentView, GateOverride, MessageBody, NewDeployment, StepState, StepView,
};
pub use hosts::{HostPart, HostView, Reachability, SilentHost, Version};
pub use locks::{LockView, NewLock, ShownLock};
pub use maintenance::{MaintenanceTold, MaintenanceView, NewMaintenance};
pub use page::Page;
pub use releases::{LastDeployment, NewRelease, Release};
pub use sign_in::{Bearer, SignIn, SignedIn};
pub use stages::{AppView, CertificateView, HoldView, LeaseView, PlanView, PolicyView, StageView, WantedView};
pub use tasks::{LogQuery, NewTask, SILENT_HOSTS, StaleTasks, StartedTask, TaskMessage, TaskView};
pub use tokens::{Scope, TokenView};
