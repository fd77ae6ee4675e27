//! That each delivery has its effect once, up to the deployment. What is answered to deliveries is in the service's own
//! tests.

use windlass_testing::github::{Attempt, CheckState, Conclusion, deliver};

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
