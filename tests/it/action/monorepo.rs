//! A repository with two apps, each with an image of its own.

use std::collections::BTreeMap;

use windlass_core::names::AppName;
use windlass_testing::github::{CheckState, Conclusion};
use windlass_testing::registry::{Access, Registry};
use windlass_testing::sample_app;

use super::{commit_app, job};
use crate::world::{HOST, PATIENCE, World, stage_path};

fn toml(registry: &Registry) -> String {
    let address = registry.address();
    format!(
        "schema = 1\nwatch = \"500ms\"\n\
         [apps.api]\nimage = \"{address}/acme/shop-api\"\nurl = \"http://{HOST}/api\"\nport = 3000\n\
         build = {{ dockerfile = \"api.Dockerfile\" }}\n\
         [apps.web]\nimage = \"{address}/acme/shop-web\"\nurl = \"http://{HOST}/\"\nport = 3000\n\
         build = {{ dockerfile = \"web.Dockerfile\" }}\n[stages.production]\n"
    )
}

#[tokio::test]
async fn two_apps_are_built_together_and_deployed_together() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    world.pulls_from(&registry);
    let mut job = job(&world);
    commit_app(&mut job, &toml(&registry), &[]);
    let dockerfile = |name| sample_app::dockerfile(&[("APP", name)]);
    job.leave("api.Dockerfile", &dockerfile("api"));
    job.leave("web.Dockerfile", &dockerfile("web"));
    let sha = job.commit_only("Two apps", &[]);
    world.repository.push("two-apps", "Two apps");
    let number = world.repository.open_pull_request("two-apps");
    world.repository.merge_pull_request_as(number, &sha);

    // One of them alone is not deployed: the service waits for the other.
    let job = job.with("app", "api");
    let first = job.run().await;
    first.succeeded();
    assert_eq!(first.output("release"), "api=1");
    assert!(world.deployments().await.is_empty());

    // All of them: what is there already is not built again.
    let job = job.with("app", "");
    let both = job.run().await;
    both.succeeded();
    assert_eq!(both.output("release"), "api=1 web=1");
    assert!(both.output("image").contains("api=") && both.output("image").contains("/acme/shop-web@sha256:"));
    assert!(both.log.contains("release 1 of api already") && both.log.contains("build web"), "{}", both.log);

    let wait = tokio::time::timeout(PATIENCE, async {
        while world.deployments().await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    wait.await.unwrap();
    world.repository.add_check_run(&sha, "test", CheckState::Completed(Conclusion::Success));
    world.repository.until_status(&sha, "success", PATIENCE).await.unwrap();
    let deployments = world.deployments().await;
    assert_eq!(deployments.len(), 1);
    let releases: BTreeMap<&AppName, u64> =
        deployments[0].releases.iter().map(|(app, number)| (app, number.0)).collect();
    assert_eq!(releases.len(), 2);
    let active: Vec<_> = world.stage().await.apps.into_values().map(|app| app.active.map(|number| number.0)).collect();
    assert_eq!(active, [Some(1), Some(1)]);
    let api: serde_json::Value = world.get(&format!("{}/apps/api/releases", stage_path())).await;
    assert_eq!(api["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_releases_of_several_apps_go_into_one_deployment_as_they_come_out() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    world.pulls_from(&registry);
    let mut job = job(&world);
    commit_app(&mut job, &toml(&registry), &[]);
    let dockerfile = |name| sample_app::dockerfile(&[("APP", name)]);
    let sha =
        job.commit("main", "Two", &[("api.Dockerfile", &dockerfile("api")), ("web.Dockerfile", &dockerfile("web"))]);
    world.repository.add_check_run(&sha, "test", CheckState::Completed(Conclusion::Success));
    let released = job.run().await;
    released.succeeded();
    let job = job.with("command", "deploy").with("release", released.output("release"));
    let deployed = job.run().await;
    deployed.succeeded();
    assert_eq!(deployed.output("release"), "api=1 web=1");
    assert_eq!(deployed.output("status"), "succeeded");

    // One app and no number: the newest of that app, and nothing of the others.
    let job = job.with("release", "").with("app", "api");
    let one = job.run().await;
    one.succeeded();
    assert_eq!(one.output("release"), "api=1");
}
