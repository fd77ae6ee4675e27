//! How each step is made to fail, from outside.

use axum::http::Method;
use windlass_core::plan::{Step, StepKind};
use windlass_testing::faults::{Fault, Rule};

use super::world::Matrix;

impl Matrix {
    /// To be called while no service runs: the step fails when the next one takes it.
    pub(super) async fn make_fail(&self, step: usize, kind: StepKind) {
        let plan = self.newest_plan().await;
        match (kind, &plan.steps[step]) {
            (StepKind::Prepare, _) => self.engines_fail(Method::GET, "/images/"),
            (StepKind::Migrate | StepKind::Boot, _) => self.engines_fail(Method::POST, "/containers/create"),
            (StepKind::Verify, Step::Verify { services, .. }) if !services.is_empty() => {
                self.gateways_fail("/v1/prepare");
            }
            // Nobody asks a gateway for a worker: it dies.
            (StepKind::Verify, Step::Verify { tasks, .. }) => self.end(&tasks[0].task.host, &tasks[0].task.name).await,
            // One of them fails, the others switch.
            (StepKind::Switch, Step::Switch { services }) => {
                let last = &services.last().unwrap().host;
                let host = self.hosts.iter().find(|host| host.name == last.as_str()).unwrap();
                host.control.fail(rule(Method::POST, "/v1/switch"));
            }
            (StepKind::Watch, Step::Watch { tasks, .. }) => {
                let last = tasks.last().unwrap();
                self.end(&last.host, &last.name).await;
            }
            (StepKind::Retire, _) => {
                self.engines_fail(Method::POST, "/kill");
                self.engines_fail(Method::DELETE, "/containers/");
            }
            (kind, step) => panic!("no way to make {kind} fail: {step}"),
        }
    }

    /// The host's gateway answers nobody but its clients.
    pub(super) fn lose(&self, host: usize) {
        let answer = Fault::CutBefore;
        self.hosts[host].control.fail(Rule { method: None, path_contains: String::new(), times: None, answer });
    }

    /// The host's gateway does not switch.
    pub(super) fn keep_from_switching(&self, host: usize) {
        self.hosts[host].control.fail(rule(Method::POST, "/v1/switch"));
    }

    pub(super) fn stop_failing(&self) {
        for host in &self.hosts {
            host.docker.clear();
            host.control.clear();
        }
    }

    fn engines_fail(&self, method: Method, path: &str) {
        self.hosts.iter().for_each(|host| host.docker.fail(rule(method.clone(), path)));
    }

    fn gateways_fail(&self, path: &str) {
        self.hosts.iter().for_each(|host| host.control.fail(rule(Method::POST, path)));
    }
}

fn rule(method: Method, path: &str) -> Rule {
    let answer = Fault::Status(500, "the matrix wants it so".to_owned());
    Rule { method: Some(method), path_contains: path.to_owned(), times: None, answer }
}
