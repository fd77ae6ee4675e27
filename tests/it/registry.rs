//! A real registry in between: the image is pushed to it, and deployed from it by digest.

use windlass_testing::github::{CheckState, Conclusion};
use windlass_testing::registry::{Access, Registry};

use crate::world::{PATIENCE, World, stage_path};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_from_its_registry_by_digest() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let id = world.build(&[("SAMPLE_VERSION", "from a registry")]).await;
    let name = format!("{}/acme/shop", registry.address());
    let digest = world.engine.push_image(&id, &name.parse().unwrap(), "pushed", None).await.unwrap();
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
