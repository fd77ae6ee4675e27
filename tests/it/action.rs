//! The container action, run as GitHub's runner runs it: its image, a real Docker Engine, a real registry, a service that
//! runs, and a stand-in GitHub.

mod deploy;
mod failures;
mod monorepo;
mod release;
mod secrets;

use windlass_testing::registry::Registry;
use windlass_testing::sample_app;

use crate::runner::{Finished, Job};
use crate::world::{STAGE, World, write_bytes};

/// What `windlass.toml` says of the sample app in this registry.
fn windlass_toml(world: &World, registry: &Registry) -> String {
    world.pulls_from(registry);
    world.config_with(&format!("image = \"{}/acme/shop\"", registry.address()))
}

/// A job that may sign in, with a token of the service, and whose input `stage` is the world's.
fn job(world: &World) -> Job {
    Job::new(world).with_secret("token", &world.token).with("stage", STAGE)
}

/// Commits the sample app, behaving as these variables say, and gives the SHA.
fn commit_app(job: &mut Job, toml: &str, environment: &[(&str, &str)]) -> String {
    write_bytes(&job.workspace().join(sample_app::FILE), sample_app::archive());
    let dockerfile = sample_app::dockerfile(environment);
    job.commit("main", "Change the app", &[("Dockerfile", &dockerfile), ("windlass.toml", toml)])
}

impl Finished {
    fn succeeded(&self) {
        assert_eq!(self.exit_code, Some(0), "{}", self.raw_log);
    }

    fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The message of its only error.
    fn error(&self) -> &str {
        let errors: Vec<&str> = self.annotations.iter().map(|annotation| annotation.message.as_str()).collect();
        assert_eq!(errors.len(), 1, "{errors:?}\n{}", self.raw_log);
        errors[0]
    }
}
