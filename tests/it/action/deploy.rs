//! `command: deploy`, `rollback` and `status`: what a job asks for, waits for and tells.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion};

use super::job;
use crate::runner::Job;
use crate::world::World;

/// A release that this job has registered, of the image that the engine has.
async fn release(world: &World, environment: &[(&str, &str)], config: &str) -> u64 {
    let digest = world.build(environment).await;
    let commit = world.repository.push("main", "Change");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &digest, config).await.number.0
}

fn deploy(world: &World, number: u64) -> Job {
    let mut job = job(world).with("command", "deploy").with("release", &number.to_string());
    job.commit("main", "Deploy", &[]);
    job
}

#[tokio::test]
async fn a_deployment_is_told_step_by_step_and_summed_up() {
    let world = World::start().await;
    let config = world.config_with("migrate = { command = [\"migrate\"] }");
    let number = release(&world, &[], &config).await;
    let done = deploy(&world, number).with("reason", "it is | Friday").run().await;
    done.succeeded();
    assert_eq!(done.output("status"), "succeeded");
    assert_eq!(done.output("reason"), "");
    assert_eq!(done.output("release"), "1");
    assert_eq!(done.output("environment-url"), "http://shop.example.com/");
    assert!(done.output("deployment-url").ends_with(done.output("deployment-id")));
    // The app's own lines stand within the group of their step.
    let groups: Vec<&str> = done.raw_log.lines().filter(|line| line.starts_with("::group::")).collect();
    for step in ["migrate", "boot", "switch", "watch"] {
        assert!(groups.iter().any(|group| group.contains(step)), "{step}: {groups:?}");
        assert!(done.summary.contains(&format!("| ✓ {step} |")), "{}", done.summary);
    }
    assert_eq!(groups.len(), done.raw_log.lines().filter(|line| *line == "::endgroup::").count());
    assert!(done.log.contains("| migrated to release 1"), "{}", done.log);

    let job = job(&world).with("command", "status");
    let status = job.run().await;
    status.succeeded();
    assert_eq!(status.output("release"), "1");
    assert_eq!(status.output("status"), "idle");
    assert!(status.log.contains("default serves release 1"), "{}", status.log);
}

#[tokio::test]
async fn a_deployment_that_fails_fails_the_step_and_shows_the_app_s_last_lines_first() {
    let world = World::start().await;
    let config = world.config().replace("20s", "2s");
    let number = release(&world, &[("SAMPLE_NEVER_HEALTHY", "1")], &config).await;
    let failed = deploy(&world, number).run().await;
    assert_eq!(failed.exit_code, Some(1), "{}", failed.raw_log);
    assert_eq!((failed.output("status"), failed.output("reason")), ("failed", "unhealthy"));
    assert!(failed.error().contains("release 1"), "{}", failed.error());
    let cause = failed.summary.find("### ❌ ").unwrap();
    let lines = failed.summary.find("waiting for").or_else(|| failed.summary.find("```text")).unwrap();
    let steps = failed.summary.find("| ✗ ").unwrap();
    assert!(cause == 0 && cause < lines && lines < steps, "{}", failed.summary);
}

#[tokio::test]
async fn a_gate_that_says_no_ends_the_step_with_3() {
    let world = World::start().await;
    let number = release(&world, &[], &world.config()).await;
    let commit = world.repository.head("main");
    world.repository.add_check_run(&commit, "lint", CheckState::Completed(Conclusion::Failure));
    let job = job(&world).with("command", "deploy").with("release", &number.to_string());
    let refused = job.run().await;
    assert_eq!(refused.exit_code, Some(3), "{}", refused.raw_log);
    assert_eq!((refused.output("status"), refused.output("reason")), ("refused", "gate_blocked"));
    assert!(refused.error().contains("lint"), "{}", refused.error());
}

#[tokio::test]
async fn rule_084_a_cancelled_job_tells_the_service_which_undoes_what_was_done_before_the_switch() {
    let world = World::start().await;
    let number = release(&world, &[("SAMPLE_NEVER_HEALTHY", "1")], &world.config()).await;
    let job = deploy(&world, number);
    let mut running = job.start();
    running.until_logged("::group::").await;
    let cancelled = running.cancel().await;
    assert_eq!(cancelled.exit_code, Some(1), "{}", cancelled.raw_log);
    assert_eq!(cancelled.output("reason"), "cancelled");
    let ended = world.until_ended(cancelled.output("deployment-id")).await;
    assert_eq!(ended.state, DeploymentState::Cancelled);
    assert_eq!(world.stage().await.apps.values().next().and_then(|app| app.active), None);
}

#[tokio::test]
async fn rule_084_after_the_switch_a_cancelled_job_changes_nothing() {
    let world = World::start().await;
    let config = world.config().replace("500ms", "5s");
    let number = release(&world, &[], &config).await;
    let job = deploy(&world, number);
    let mut running = job.start();
    running.until_logged("watch").await;
    let cancelled = running.cancel().await;
    assert_eq!(cancelled.exit_code, Some(1), "{}", cancelled.raw_log);
    let ended = world.until_ended(cancelled.output("deployment-id")).await;
    assert_eq!(ended.state, DeploymentState::Succeeded);
}

#[tokio::test]
async fn rule_084_a_network_that_is_away_for_30_s_does_not_fail_the_step() {
    let world = World::start().await;
    let config = world.config().replace("500ms", "35s");
    let number = release(&world, &[], &config).await;
    let wire = Wire::to(world.service_address).await;
    let job = deploy(&world, number).with("server", &format!("http://{}", wire.address));
    let mut running = job.start();
    running.until_logged("::group::").await;
    wire.cut();
    // The gap itself, not a wait for something.
    tokio::time::sleep(Duration::from_secs(30)).await;
    wire.mend();
    let done = running.finish().await;
    done.succeeded();
    assert!(done.log.contains("trying to come back"), "{}", done.log);
    assert_eq!(done.output("status"), "succeeded");
    let mut groups: Vec<&str> = done.raw_log.lines().filter(|line| line.starts_with("::group::")).collect();
    let told = groups.len();
    groups.sort_unstable();
    groups.dedup();
    assert!(groups.len() == told && told > 4, "each once: {}", done.raw_log);
}

#[tokio::test]
async fn a_step_that_has_waited_long_enough_leaves_the_deployment_to_the_service() {
    let world = World::start().await;
    let config = world.config().replace("500ms", "5s");
    let number = release(&world, &[], &config).await;
    let failed = deploy(&world, number).with("timeout", "1s").run().await;
    assert_eq!((failed.exit_code, failed.output("reason")), (Some(1), "wait_timeout"));
    assert_eq!(world.until_ended(failed.output("deployment-id")).await.state, DeploymentState::Succeeded);
}

/// A wire that can be cut: what goes through it to somewhere breaks off, and nothing gets through until it is mended.
struct Wire {
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    async fn to(there: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, watched) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut watched = watched.clone();
                tokio::spawn(async move {
                    if !*watched.borrow_and_update() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(there).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = watched.changed() => {}
                    }
                });
            }
        });
        Self { address, whole }
    }

    fn cut(&self) {
        self.whole.send_replace(false);
    }

    fn mend(&self) {
        self.whole.send_replace(true);
    }
}
