//! A real registry in between: the image is pushed to it, and deployed from it by digest.

use windlass_testing::docker_client::push;
use windlass_testing::github::{CheckState, Conclusion};
use windlass_testing::registry::{Access, Registry};

use crate::world::{PATIENCE, World, stage_path};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_from_its_registry_by_digest() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let id = world.build(&[("SAMPLE_VERSION", "from a registry")]).await;
    let name = format!("{}/acme/shop", registry.address());
    let digest = push(id.as_str(), &name, "pushed");
    world.engine.remove_image(id.as_str()).await.unwrap();

    let commit = world.merge("from-a-registry");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    let config = format!("image = \"{name}\"\n");
    let config = world.config().replace("schema = 1\n", &format!("schema = 1\n{config}"));
    let body = serde_json::json!({ "commit": commit, "digest": digest, "image": name, "config": config });
    let _: serde_json::Value = world.post(&format!("{}/apps/default/releases", stage_path()), &body).await;
    world
        .repository
        .until_status(&commit, "success", PATIENCE)
        .await
        .unwrap_or_else(|_| panic!("{}", world.service_log()));
    assert!(world.answer().await.starts_with("release 1 "));
    let prepared = world.deployments().await.remove(0).steps.into_iter().find(|step| step.step.as_str() == "prepare");
    assert!(prepared.unwrap().note.unwrap().contains("pulled"));
    for task in world.engine.observe().await.unwrap() {
        world.engine.remove(&task.name).await.unwrap();
    }
    world.engine.remove_image(&format!("{name}@{digest}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_a_deployment_that_waits_is_there_before_its_gate_opens() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    world.pulls_from(&registry);
    let id = world.build(&[("SAMPLE_VERSION", "pulled early")]).await;
    let name = format!("{}/acme/shop", registry.address());
    let digest = push(id.as_str(), &name, "pushed");
    world.engine.remove_image(id.as_str()).await.unwrap();

    let commit = world.merge("waits");
    let check = world.repository.add_check_run(&commit, "test", CheckState::InProgress);
    let config = world.config().replace("schema = 1\n", &format!("schema = 1\nimage = \"{name}\"\n"));
    let body = serde_json::json!({ "commit": commit, "digest": digest, "image": name, "config": config });
    let _: serde_json::Value = world.post(&format!("{}/apps/default/releases", stage_path()), &body).await;
    let reference = format!("{name}@{digest}");
    let pulled = async {
        while world.engine.inspect_image(&reference).await.unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, pulled).await.unwrap_or_else(|_| panic!("{}", world.service_log()));
    let waits = world.deployments().await.remove(0);
    assert_eq!(waits.state, windlass_core::deployment::DeploymentState::Waiting, "{waits:?}");

    world.repository.complete_check_run(check, Conclusion::Success);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let prepared = world.deployments().await.remove(0).steps.into_iter().find(|step| step.step.as_str() == "prepare");
    assert!(prepared.unwrap().note.unwrap().contains("present"));

    // Somebody removes the task and its image: both come back.
    for task in world.engine.observe().await.unwrap() {
        world.engine.remove(&task.name).await.unwrap();
    }
    world.engine.remove_image(&reference).await.unwrap();
    let back = async {
        while !world.app("/").send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.unwrap_or_else(|_| panic!("{}", world.service_log()));
}
