//! `command: release`.

use serde_json::Value;
use windlass_core::names::Digest;
use windlass_testing::docker_client::push;
use windlass_testing::github::{CheckState, Conclusion};
use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use super::{commit_app, job, windlass_toml};
use crate::world::{World, stage_path};

#[tokio::test]
async fn a_commit_is_built_pushed_and_registered_and_the_second_time_only_found() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    let sha = commit_app(&mut job, &windlass_toml(&world, &registry), &[]);

    let first = job.run().await;
    first.succeeded();
    let digest = registry_digest(&registry, &sha).await;
    assert_eq!(first.output("release"), "1");
    assert_eq!(first.output("digest"), digest);
    assert_eq!(first.output("image"), format!("{}/acme/shop@{digest}", registry.address()));
    assert_eq!(first.output("status"), "registered");
    assert!(first.summary.contains("### Release 1 on acme/shop production"), "{}", first.summary);
    assert!(first.log.contains("ADD app.tar /"), "{}", first.log);
    assert!(first.annotations.is_empty());
    let config = image_config(&registry, &sha).await;
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], sha);
    assert_eq!(labels["org.opencontainers.image.source"], "https://github.com/acme/shop");
    assert!(labels["org.opencontainers.image.created"].as_str().unwrap().ends_with('Z'));
    let releases: Value = world.get(&format!("{}/apps/default/releases", stage_path())).await;
    assert_eq!(releases["items"][0]["commit"], sha);
    assert_eq!(releases["items"][0]["digest"], digest);

    // Nothing can be pushed any more: a second build would fail.
    drop(registry);
    let second = job.run().await;
    second.succeeded();
    assert_eq!(second.output("release"), "1");
    assert_eq!(second.output("digest"), digest);
    assert!(second.log.contains("nothing to build"), "{}", second.log);
    assert!(!second.log.contains("ADD app.tar /"), "{}", second.log);
}

#[tokio::test]
async fn rule_077_a_rebuild_of_the_same_commit_gets_a_new_number() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    job.run().await.succeeded();
    let job = job.with("rebuild", "true");
    let again = job.run().await;
    again.succeeded();
    assert_eq!(again.output("release"), "2");
}

#[tokio::test]
async fn rule_085_what_was_pushed_is_deployed_also_when_its_tag_was_moved() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    let sha = commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    world.repository.add_check_run(&sha, "test", CheckState::Completed(Conclusion::Success));
    let released = job.run().await;
    released.succeeded();
    // Whoever deploys the tag deploys this, which never becomes healthy.
    let other = world.build(&[("SAMPLE_NEVER_HEALTHY", "1")]).await;
    let name = format!("{}/acme/shop", registry.address());
    let _of_the_tag = push(other.as_str(), &name, &sha);
    assert_ne!(registry_digest(&registry, &sha).await, released.output("digest"));
    let job = job.with("command", "deploy").with("release", "1");
    let deployed = job.run().await;
    deployed.succeeded();
    let task = &world.stage().await.apps.into_values().next().unwrap().tasks[0];
    assert_eq!(task.release.0, 1);
    assert!(world.answer().await.starts_with("release 1 "));
}

#[tokio::test]
async fn rule_080_the_login_comes_from_the_inputs_and_from_no_earlier_step() {
    let world = World::start().await;
    let registry = Registry::start(Access::Login).await;
    let mut job = job(&world).with("registry-username", USERNAME).with_secret("registry-password", PASSWORD);
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let done = job.run().await;
    done.succeeded();
    assert!(!without_masks(&done.raw_log).contains(PASSWORD));
    assert!(done.masks.iter().any(|mask| mask == PASSWORD));
}

#[tokio::test]
async fn several_platforms_become_one_image() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world).with("platforms", "linux/amd64, linux/arm64");
    let sha = commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let done = job.run().await;
    done.succeeded();
    let index = manifest(&registry, &sha).await;
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    assert_eq!(done.output("digest"), registry_digest(&registry, &sha).await);
}

#[tokio::test]
async fn what_is_not_as_committed_is_refused_for_a_stage_that_deploys_by_itself() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    let sha = commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    job.leave("left-behind.txt", "by an earlier step");
    let refused = job.run().await;
    assert_eq!(refused.exit_code, Some(1));
    assert_eq!(refused.output("reason"), "uncommitted_changes");
    let expected = format!("what is checked out is not {} any more, and production is deployed by itself", &sha[..7]);
    assert!(refused.error().starts_with(&expected), "{}", refused.error());
    assert!(refused.log.contains("  left-behind.txt"), "{}", refused.log);
}

#[tokio::test]
async fn where_people_deploy_what_is_not_as_committed_is_a_release_that_is_never_taken_for_the_commit_s() {
    let sandbox = "[projects.\"acme/shop\".stages.sandbox]\ndeploy-on = []\n";
    let world = World::start_with(sandbox).await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world).with("stage", "sandbox");
    let sha = commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    job.leave("left-behind.txt", "by a person");
    let dirty = job.run().await;
    dirty.succeeded();
    assert_eq!(dirty.output("release"), "1");
    assert!(
        dirty.log.contains(&format!("pushed {}/acme/shop:{sha}_uncommitted_", registry.address())),
        "{}",
        dirty.log
    );
    std::fs::remove_file(job.workspace().join("left-behind.txt")).unwrap();
    let clean = job.run().await;
    clean.succeeded();
    assert_eq!(clean.output("release"), "2");
    assert_ne!(clean.output("digest"), "");
    let releases: Value = world.get("/projects/acme/shop/stages/sandbox/apps/default/releases").await;
    let uncommitted: Vec<_> = releases["items"].as_array().unwrap().iter().map(|it| &it["uncommitted"]).collect();
    assert_eq!(uncommitted, [false, true]);
}

#[tokio::test]
async fn without_a_registry_the_image_stays_on_the_engine_that_built_it() {
    let world = World::start().await;
    let mut job = job(&world);
    let sha = commit_app(&mut job, &world.config(), &[]);
    let done = job.run().await;
    let image = format!("windlass-build:{sha}");
    let facts = world.engine.inspect_image(&image).await.unwrap();
    world.engine.remove_image(&image).await.unwrap();
    done.succeeded();
    let digest: Digest = done.output("digest").parse().unwrap();
    assert_eq!(facts.unwrap().id, digest.to_string());
    assert_eq!(done.output("image"), digest.as_str());
}

/// A mask's own line is for the runner and never shown.
pub(super) fn without_masks(log: &str) -> String {
    log.lines().filter(|line| !line.starts_with("::add-mask::")).collect::<Vec<_>>().join("\n")
}

async fn registry_digest(registry: &Registry, tag: &str) -> String {
    let answer = ask(registry, &format!("manifests/{tag}")).await;
    answer.headers()["docker-content-digest"].to_str().unwrap().to_owned()
}

async fn manifest(registry: &Registry, reference: &str) -> Value {
    ask(registry, &format!("manifests/{reference}")).await.json().await.unwrap()
}

pub(super) async fn image_config(registry: &Registry, tag: &str) -> Value {
    let manifest = manifest(registry, tag).await;
    let digest = manifest["config"]["digest"].as_str().unwrap();
    ask(registry, &format!("blobs/{digest}")).await.json().await.unwrap()
}

async fn ask(registry: &Registry, path: &str) -> reqwest::Response {
    let types = [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    ];
    let request = reqwest::Client::new()
        .get(format!("http://{}/v2/acme/shop/{path}", registry.address()))
        .basic_auth(USERNAME, Some(PASSWORD))
        .header("accept", types.join(", "));
    request.send().await.unwrap().error_for_status().unwrap()
}
