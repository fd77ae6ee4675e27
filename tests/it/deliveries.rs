//! What the service answers to deliveries, and that each has its effect once.

use windlass_testing::github::{Attempt, CheckState, Conclusion, deliver, sign};

use crate::world::{PATIENCE, WEBHOOK_SECRET, World};

fn address(world: &World) -> String {
    format!("http://{}/webhooks/github", world.service_address)
}

async fn post(world: &World, guid: &str, body: Vec<u8>, signature: Option<String>) -> u16 {
    let mut request = reqwest::Client::new()
        .post(address(world))
        .header("x-github-event", "ping")
        .header("x-github-delivery", guid)
        .header("content-type", "application/json");
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_github_signed_is_stored_and_what_is_signed_may_be_large() {
    let world = World::start().await;
    let signed = |body: &[u8]| Some(format!("sha256={}", sign(WEBHOOK_SECRET, body)));
    let small = b"{ \"zen\" : \"caf\\u00e9 \xf0\x9f\x90\xb3\" }\n".to_vec();
    assert_eq!(post(&world, "1", small.clone(), signed(&small)).await, 202);
    assert_eq!(post(&world, "2", small.clone(), None).await, 401);
    assert_eq!(post(&world, "3", small.clone(), signed(b"something else")).await, 401);
    assert_eq!(post(&world, "4", b"no json".to_vec(), signed(b"something else")).await, 401);
    assert_eq!(post(&world, "5", b"no json".to_vec(), signed(b"no json")).await, 400);
    let large = format!("{{\"zen\":\"{}\"}}", "x".repeat(24 * 1024 * 1024)).into_bytes();
    assert_eq!(post(&world, "6", large.clone(), signed(&large)).await, 202);
    let too_large = format!("{{\"zen\":\"{}\"}}", "x".repeat(26 * 1024 * 1024)).into_bytes();
    assert_eq!(post(&world, "7", too_large.clone(), signed(&too_large)).await, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_told_again_and_again_is_deployed_once() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("told-again");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &world.config()).await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let merged = world.github.deliveries().into_iter().find(|it| it.action.as_deref() == Some("closed")).unwrap();
    let known = world.github.redeliver(&merged.guid).await.unwrap();
    assert_eq!(known, Attempt::Answered(202));
    for guid in ["another-guid", "yet-another"] {
        let told = deliver(&address(&world), WEBHOOK_SECRET, "pull_request", guid, &merged.body).await;
        assert_eq!(told, Attempt::Answered(202));
    }
    // A later merge comes after them in the line: once it is deployed, they had their effect, if any.
    let next = world.merge("next");
    world.repository.add_check_run(&next, "test", CheckState::Completed(Conclusion::Success));
    world.register(&next, &image, &world.config()).await;
    world.repository.until_status(&next, "success", PATIENCE).await.unwrap();
    assert_eq!(world.repository.deployments().len(), 2);
}
