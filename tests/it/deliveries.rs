//! That each delivery has its effect once, up to the deployment. What is answered to deliveries is in the service's own
//! tests.

use windlass_testing::github::{Attempt, CheckState, Conclusion, deliver, sign};

use crate::world::{PATIENCE, WEBHOOK_SECRET, World};

fn address(world: &World) -> String {
    format!("http://{}/webhooks/github", world.service_address)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_016_a_merge_that_is_told_again_and_again_is_deployed_once_and_a_persons_redeploy_again() {
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
    world.deploy("redeploy", None).await;
    assert_eq!(world.deployments().await.len(), 3, "what a person asks for again is done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_013_a_service_that_is_killed_between_its_answer_and_the_work_does_the_work_once_after_its_restart() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    let first = world.merge("first");
    world.repository.add_check_run(&first, "test", CheckState::Completed(Conclusion::Success));
    world.register(&first, &image, &world.config()).await;
    world.repository.until_status(&first, "success", PATIENCE).await.unwrap();

    // Whether the second commit is newer than the first only GitHub can say, and it does not.
    world.github.hang("*");
    let second = world.merge("second");
    let delivered = world.github.until_delivered(PATIENCE).await.unwrap();
    assert!(delivered.iter().all(|it| it.attempts == [Attempt::Answered(202)]));
    world.kill_service().await;
    world.github.heal();
    // The delivery is what is shown here: the branch's head shall not tell.
    world.github.hang("/repos/acme/shop/branches/main");
    world.start_service().await;
    world.repository.add_check_run(&second, "test", CheckState::Completed(Conclusion::Success));
    world.register(&second, &image, &world.config()).await;
    world.repository.until_status(&second, "queued", PATIENCE).await.unwrap();
    world.github.heal();
    world.repository.until_status(&second, "success", PATIENCE).await.unwrap();
    let of_second = world.repository.deployments().into_iter().filter(|it| it.sha == second).count();
    assert_eq!((of_second, world.deployments().await.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_109f_after_large_deliveries_at_once_the_memory_goes_back() {
    let world = World::start().await;
    let mut status: serde_json::Value =
        serde_json::from_slice(&windlass_testing::fixture("webhook/status.json")).unwrap();
    status["description"] = "x".repeat(20 << 20).into();
    let body = serde_json::to_vec(&status).unwrap();
    let signature = format!("sha256={}", sign(WEBHOOK_SECRET, &body));
    let body: &'static [u8] = body.leak();
    let client = reqwest::Client::new();
    for wave in 0..3 {
        let posts = (0..4).map(|number| {
            let request = client
                .post(address(&world))
                .header("x-github-event", "status")
                .header("x-github-delivery", format!("large-{wave}-{number}"))
                .header("content-type", "application/json")
                .header("x-hub-signature-256", &signature);
            request.body(body).send()
        });
        for answer in futures_util::future::try_join_all(posts).await.unwrap() {
            assert_eq!(answer.status(), 202);
        }
    }
    let least = async {
        while world.service_memory_now() > 150 << 20 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let went_back = tokio::time::timeout(PATIENCE, least).await;
    assert!(went_back.is_ok(), "{} MB are kept", world.service_memory_now() >> 20);
}
