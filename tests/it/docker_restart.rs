//! A Docker Engine that is restarted under what it runs.

mod own_docker;

use windlass_core::deployment::DeploymentState;
use windlass_core::task::TaskStatus;

use crate::crash::Client;
use crate::world::{HOST, PATIENCE, World};
pub(crate) use own_docker::as_root;
use own_docker::{LiveRestore, OwnDocker};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_live_restore_is_restarted_and_no_request_fails() {
    let mut docker = OwnDocker::start(LiveRestore::On).await;
    let world = World::start_on(&docker.socket(), Some(&docker.networks()), "").await;
    let image = world.build(&[]).await;
    world.release("one", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);

    let client = Client::start(&world);
    client.until_answered(100).await;
    docker.restart().await;
    let answered = client.answered();
    client.until_answered(answered + 100).await;
    println!("{} requests answered around the restart, 0 failed", client.stop().await);
    assert_eq!(world.deploy("redeploy", None).await.state, DeploymentState::Succeeded, "the service finds it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_run_runs_again_after_an_engine_without_live_restore_was_restarted() {
    let mut docker = OwnDocker::start(LiveRestore::Off).await;
    let mut world = World::start_on(&docker.socket(), Some(&docker.networks()), "").await;
    let image = world.build(&[]).await;
    let config = format!(
        "schema = 1\nurl = \"http://{HOST}/\"\nwatch = \"0s\"\n\
         [roles.web]\nport = 3000\nscale = 2\nhealth = {{ path = \"/up\" }}\nstop = {{ grace = \"5s\", drain = \"1s\" }}\n\
         [roles.worker]\ncommand = [\"sleep\", \"600000\"]\nhealth = {{ stable = \"100ms\" }}\n"
    );
    for number in [1, 2] {
        world.release(&format!("release {number}"), &image, &config).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    until_running(&world, &[(1, 0), (2, 3)]).await;
    // Nobody else brings anything back.
    world.kill_service().await;
    docker.restart().await;
    until_running(&world, &[(1, 0), (2, 3)]).await;
    world.until_answer("release 2 ").await;
    world.start_service().await;
    let client = Client::start(&world);
    client.until_answered(100).await;
    client.stop().await;
    assert_eq!(world.deploy("redeploy", None).await.state, DeploymentState::Succeeded, "the service finds it again");
}

/// So many tasks of each release run.
async fn until_running(world: &World, wanted: &[(u64, usize)]) {
    let mut seen = Vec::new();
    let running = async {
        loop {
            seen = world.engine.observe().await.unwrap_or_default();
            let of = |release| {
                let runs = |it: &&windlass_core::task::ObservedTask| it.status == TaskStatus::Running;
                seen.iter().filter(runs).filter(|task| task.labels.release.0 == release).count()
            };
            if wanted.iter().all(|(release, count)| of(*release) == *count) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, running).await;
    assert!(settled.is_ok(), "not {wanted:?} run, but {seen:#?}");
}
