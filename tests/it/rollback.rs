//! The way back: what it does not undo is said, and what it cannot do is refused before anything is touched.

use serde_json::json;
use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_core::labels::Kind;
use windlass_core::plan::StepKind;

use crate::container_events::{ContainerEvent, ContainerEvents};
use crate::operate::{done, json as parsed, run};
use crate::order::{GREEN, LIGHT};
use crate::world::{World, stage_path};

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

const TWO: &str =
    "schema = 1\nwatch = \"1ms\"\n[apps.api]\nport = 3000\nscale = 0\n[apps.web]\nport = 3000\nscale = 0\n";

/// Registers releases of green commits; the N-th has the number N.
async fn register(world: &World, app: &str, config: &str, count: usize) {
    let light = world.build(&[]).await;
    for number in 1..=count {
        let commit = world.repository.push("main", &format!("{app} {number}"));
        world.repository.add_check_run(&commit, "test", GREEN);
        let body = json!({ "commit": commit, "digest": light, "config": config });
        let release: serde_json::Value = world.post(&format!("{}/apps/{app}/releases", stage_path()), &body).await;
        assert_eq!(release["number"], number);
    }
}

/// A rollback that names no release: what it said before it began, and what was active when it was done.
async fn roll_back(world: &World, arguments: &[&str]) -> (String, String) {
    let output = run(world, &[&["rollback"], arguments].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let before = said.lines().find_map(|line| line.strip_prefix("going back on acme/shop production: "));
    let before = before.unwrap_or_else(|| panic!("{said}")).to_owned();
    let done = said.find("Roll back to").unwrap_or_else(|| panic!("{said}"));
    assert!(said.find("going back on").is_some_and(|at| at < done), "{said}");
    let active = world.stage().await.apps.into_iter().filter_map(|(app, view)| Some(format!("{app} {}", view.active?)));
    (before, active.collect::<Vec<_>>().join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_back_what_the_last_deployment_changed_and_says_so_before_it_begins() {
    let world = World::start().await;
    register(&world, "api", TWO, 2).await;
    register(&world, "web", TWO, 2).await;
    for releases in
        [&["--release", "api=1", "--release", "web=1"][..], &["--release", "api=2"], &["--release", "web=2"]]
    {
        done(&world, &[&["deploy"], releases].concat()).await;
    }
    let status = done(&world, &["status"]).await;
    assert!(status.contains("`windlass rollback`: web: release 2 → release 1; api stays at release 2"), "{status}");
    let plan = done(&world, &["plan", "--rollback"]).await;
    assert!(plan.contains("web: release 2 → release 1") && !plan.contains("api: "), "{plan}");
    let whole = parsed(&done(&world, &["status", "--json"]).await);
    assert_eq!((&whole["rollback"], &whole["apps"]["api"]["previous"]), (&json!({ "web": 1 }), &json!(1)));

    let (before, active) = roll_back(&world, &[]).await;
    assert_eq!(
        (before.as_str(), active.as_str()),
        ("web: release 2 → release 1; api stays at release 2", "api 2, web 1")
    );
    let (before, active) = roll_back(&world, &["--json"]).await;
    assert_eq!(
        (before.as_str(), active.as_str()),
        ("api: release 2 → release 1; web stays at release 1", "api 1, web 1")
    );
    let refused = run(&world, &["rollback"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("has no earlier release to go back to"), "{said}");

    done(&world, &["deploy"]).await;
    let (before, active) = roll_back(&world, &["--app", "api"]).await;
    assert_eq!(
        (before.as_str(), active.as_str()),
        ("api: release 2 → release 1; web stays at release 2", "api 1, web 2")
    );
    let (_, active) = roll_back(&world, &[]).await;
    assert_eq!(active, "api 1, web 1", "of that deployment web is left");

    done(&world, &["deploy"]).await;
    let asked: windlass_core::api::DeploymentView =
        world.post(&format!("{}/deployments", stage_path()), &json!({ "kind": "rollback", "app": "web" })).await;
    assert_eq!(json!(asked.releases), json!({ "web": 1 }), "who names the app alone is told by the service");
    assert_eq!(world.until_ended(asked.id.as_str()).await.state, DeploymentState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_gone_back_to_is_no_step_of_its_own() {
    let world = World::start().await;
    register(&world, "default", LIGHT, 5).await;
    for number in 1..=4 {
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    done(&world, &["rollback", "1"]).await;
    done(&world, &["deploy", "--release", "4"]).await;
    let mut way = Vec::new();
    for _ in 0..3 {
        way.push(roll_back(&world, &[]).await);
    }
    let expected = [("release 4 → release 3", 3), ("release 3 → release 2", 2), ("release 2 → release 1", 1)];
    assert_eq!(way, expected.map(|(before, active)| (before.to_owned(), format!("default {active}"))));
    // Nobody has left 5: it takes the place of 1.
    done(&world, &["deploy", "--release", "5"]).await;
    assert_eq!(roll_back(&world, &[]).await.0, "release 5 → release 1");
    let again: windlass_core::api::DeploymentView = world
        .post(&format!("{}/deployments", stage_path()), &json!({ "kind": "deploy", "releases": { "default": 3 } }))
        .await;
    world.until_ended(again.id.as_str()).await;
    assert_eq!(
        world.deploy("rollback", None).await.releases.into_values().next().map(|it| it.0),
        Some(1),
        "without a number the service knows"
    );
}
