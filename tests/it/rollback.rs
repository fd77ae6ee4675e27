//! The way back: what it does not undo is said, and what it cannot do is refused before anything is touched.

use serde_json::json;
use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_core::labels::Kind;
use windlass_core::plan::StepKind;

use crate::container_events::{ContainerEvent, ContainerEvents};
use crate::operate::{done, json as parsed, run};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn rule_089_a_rollback_runs_no_migration_and_says_which_newer_releases_had_run_one() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let migrates = world.config_with("migrate = { command = [\"migrate\"] }");
    for (number, config) in [(1, &migrates), (2, &migrates), (3, &migrates), (4, &world.config())] {
        world.release(&format!("release {number}"), &image, config).await;
        let deployment = world.deploy("deploy", Some(number)).await;
        assert_eq!(deployment.state, DeploymentState::Succeeded);
        assert!(deployment.migrations_kept.is_empty(), "only a rollback leaves one behind");
    }

    let near = run(&world, &["rollback", "3", "--json"]).await;
    let near_said = String::from_utf8_lossy(&near.stderr).into_owned();
    let near = parsed(&String::from_utf8_lossy(&near.stdout));
    assert_eq!((near["state"].as_str(), near.get("migrations_kept")), (Some("succeeded"), None));
    assert!(!near_said.contains("undoes no migration"), "release 4 had none: {near_said}");

    let far = run(&world, &["rollback", "1"]).await;
    assert!(far.status.success(), "{far:?}");
    let told = "a rollback undoes no migration, and newer releases have run theirs: release 3, release 2";
    let said = String::from_utf8_lossy(&far.stderr).into_owned();
    assert!(said.contains(&format!("warning: {told}")), "{said}");
    let deployment = world.deployments().await.remove(0);
    assert!(deployment.steps.iter().all(|step| step.step != StepKind::Migrate), "{deployment:?}");
    assert_eq!(json!(deployment.migrations_kept), json!({ "default": [3, 2] }));
    let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
    assert!(page.contains(told), "{page}");
    assert!(world.answer().await.starts_with("release 1 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_090_a_rollback_to_a_release_whose_image_is_gone_is_refused_before_a_container_is_touched() {
    let world = World::start().await;
    let events = ContainerEvents::of(&world);
    let gone = world.build(&[("SAMPLE_VERSION", "1")]).await;
    let kept = world.build(&[("SAMPLE_VERSION", "2")]).await;
    for (number, image) in [(1, &gone), (2, &kept)] {
        world.release(&format!("release {number}"), image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    // As somebody's `docker system prune --all` does.
    events.until(|event| event.is("die", Kind::Service, 1)).await;
    for task in world.engine.observe().await.unwrap().iter().filter(|task| task.labels.release.0 == 1) {
        world.engine.remove(&task.container).await.unwrap();
    }
    world.engine.remove_image(gone.as_str()).await.unwrap();
    events.until(|event| event.is("destroy", Kind::Service, 1)).await;
    let (before, seen) = (world.engine.observe().await.unwrap(), events.so_far().len());

    let refused = run(&world, &["rollback", "1"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let deployment = world.deployments().await.remove(0);
    let failure = deployment.failure.unwrap();
    assert_eq!((deployment.state, failure.code), (DeploymentState::Failed, FailureCode::ImageMissing), "{failure}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&failure.summary), "{refused:?}");
    assert_eq!(world.engine.observe().await.unwrap(), before);
    assert!(world.answer().await.starts_with("release 2 "));
    assert!(world.stage().await.hold.is_none(), "what did not happen holds nothing");

    // Docker tells everything in order: once it tells of the next deployment, it has told of this one.
    done(&world, &["release", "activate", "2"]).await;
    let next = |event: &ContainerEvent| ["create", "start"].contains(&event.action.as_str());
    events.until(|event| next(event) && event.at > deployment.ended_at.unwrap()).await;
    let touches = ["create", "start", "kill", "die", "destroy"];
    let meanwhile = events.so_far().into_iter().skip(seen).filter(|event| event.at < deployment.ended_at.unwrap());
    let touched: Vec<_> = meanwhile.filter(|event| touches.contains(&event.action.as_str())).collect();
    assert!(touched.is_empty(), "{touched:#?}");
}
