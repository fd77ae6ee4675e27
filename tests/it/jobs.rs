//! Jobs that deploy: what they ask for is made once, and the gate does not wait for who waits for it.

use serde_json::{Value, json};
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::sign_in::{Answer, Job};
use crate::world::{PATIENCE, World, stage_path};

const GREEN: CheckState = CheckState::Completed(Conclusion::Success);

async fn deploy(job: &Job<'_>, release: u64) -> Answer {
    job.post(&format!("{}/deployments", stage_path()), &json!({ "releases": { "default": release } })).await
}

fn id(answer: &Answer) -> &str {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_045_a_job_that_waits_for_its_own_deployment_does_not_hold_the_gate() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("first");
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    world.repository.add_check_run_in(job.job.suite(), "test", GREEN);
    assert_eq!(job.register(&commit, image.as_str(), json!({})).await.status, 201);
    // The merge asks for it as soon as there is a release, and waits for the job, like for any other check.
    world.repository.until_status(&commit, "queued", PATIENCE).await.unwrap();
    let gate: Value = world.get(&format!("{}/gate?commit={commit}", stage_path())).await;
    assert_eq!(gate["verdict"], "waiting", "{gate}");

    let asked = deploy(&job, 1).await;
    assert_eq!(world.until_ended(id(&asked)).await.state, DeploymentState::Succeeded);
    assert!(asked.body["requested_by"].as_str().unwrap().contains("merged #1"), "{asked:?}");
    let again = Job::of(&world, job.job.again()).await;
    let known = deploy(&again, 1).await;
    assert_eq!((id(&known), &known.body["state"]), (id(&asked), &json!("succeeded")));
    assert_eq!(world.deployments().await.len(), 1);
    assert_eq!(world.repository.deployments().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_036b_a_red_check_beside_the_job_that_waits_still_blocks() {
    let world = World::start().await;
    let commit = world.repository.push("main", "red");
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    let test = world.repository.add_check_run_in(job.job.suite(), "test", CheckState::InProgress);
    job.register(&commit, &format!("sha256:{}", "a".repeat(64)), json!({})).await;
    let asked = deploy(&job, 1).await;
    world.repository.until_deployment(|it| it.state() == Some("queued"), PATIENCE).await.unwrap();
    world.repository.complete_check_run(test, Conclusion::Failure);
    let ended = world.until_ended(id(&asked)).await;
    assert_eq!((ended.state, ended.requested_by.as_str()), (DeploymentState::Refused, "octavia"));
    assert_eq!(ended.why.as_deref(), Some("blocked: test failed (check run by github-actions)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_046_a_deploying_job_that_failed_does_not_block_the_next() {
    let world = World::start().await;
    let bad = world.build(&[("SAMPLE_EXIT_AFTER_MS", "100")]).await;
    let commit = world.repository.push("main", "flaky");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    job.register(&commit, bad.as_str(), json!({})).await;
    assert_eq!(world.until_ended(id(&deploy(&job, 1).await)).await.state, DeploymentState::Failed);
    job.job.finish(Conclusion::Failure);

    let good = world.build(&[]).await;
    let next = Job::start(&world, NewJob::dispatched(&commit)).await;
    next.register(&commit, good.as_str(), json!({ "rebuild": true })).await;
    assert_eq!(world.until_ended(id(&deploy(&next, 2).await)).await.state, DeploymentState::Succeeded);
    next.job.finish(Conclusion::Success);

    // The same commit, built again, is newer than what it serves; asked for by nobody in particular.
    let rebuilt = world.build(&[("SAMPLE_VERSION", "rebuilt")]).await;
    let third = Job::of(&world, job.job.again()).await;
    third.register(&commit, rebuilt.as_str(), json!({ "rebuild": true })).await;
    assert_eq!(world.until_ended(id(&deploy(&third, 3).await)).await.state, DeploymentState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_heeds_a_hold_unless_somebody_started_it_and_cancels_only_its_own() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    for (number, title) in [(1, "first"), (2, "second")] {
        let commit = world.repository.push("main", title);
        world.repository.add_check_run(&commit, "test", GREEN);
        world.register(&commit, &image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    assert_eq!(world.deploy("rollback", None).await.state, DeploymentState::Succeeded);

    let commit = world.repository.push("main", "third");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    job.register(&commit, image.as_str(), json!({})).await;
    let asked = deploy(&job, 3).await;
    let path = format!("/deployments/{}", id(&asked));
    let held = async {
        while job.get(&path).await.body["reason"] != "hold" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect("a job that a push started waits for the hold");
    assert_eq!(id(&deploy(&job, 3).await), id(&asked), "asked for twice, made once");

    let dispatched = Job::start(&world, NewJob::dispatched(&commit)).await;
    let cancel = format!("{path}/cancel");
    let refused = dispatched.post(&cancel, &json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")), "{refused:?}");
    let cancelled = job.post(&cancel, &json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (202, &json!("cancelled")), "{cancelled:?}");

    let by_hand = deploy(&dispatched, 3).await;
    assert_ne!(id(&by_hand), id(&asked));
    assert_eq!(world.until_ended(id(&by_hand)).await.state, DeploymentState::Succeeded);
}
