//! Which deployment goes first, which waits and for whom, and which gives way.

use serde_json::{Value, json};
use windlass_core::api::{DeploymentView, StageView};
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{AppName, Digest};
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

pub(crate) const GREEN: CheckState = CheckState::Completed(Conclusion::Success);

/// An app that runs nothing: all of a deployment but its containers.
pub(crate) const LIGHT: &str = "schema = 1\nport = 3000\nscale = 0\nwatch = \"1ms\"\n";

/// Registers a release of such an app on a stage.
pub(crate) async fn register_light(world: &World, image: &Digest, stage: &str, commit: &str) -> u64 {
    let body = json!({ "commit": commit, "digest": image, "config": LIGHT });
    let release: Value = world.post(&format!("{stage}/apps/default/releases"), &body).await;
    release["number"].as_u64().unwrap()
}

/// A merge with a green check and a release.
async fn merge_green(world: &World, image: &Digest, title: &str) -> String {
    let commit = world.merge(title);
    world.repository.add_check_run(&commit, "test", GREEN);
    register_light(world, image, &stage_path(), &commit).await;
    commit
}

/// Waits until a deployment of this commit is as wanted.
pub(crate) async fn until(world: &World, commit: &str, wanted: impl Fn(&DeploymentView) -> bool) -> DeploymentView {
    let look = async {
        loop {
            let found = world.deployments().await.into_iter().find(|it| it.commit.as_str() == commit && wanted(it));
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, look).await;
    found.unwrap_or_else(|_| panic!("no deployment of {commit} is as wanted:\n{}", world.service_log()))
}

fn waits_for<'a>(reason: &'a str) -> impl Fn(&DeploymentView) -> bool + 'a {
    move |it| it.reason.as_deref() == Some(reason)
}

async fn deploy(world: &World, stage: &str, release: u64) -> DeploymentView {
    world.post(&format!("{stage}/deployments"), &json!({ "releases": { "default": release } })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_029_a_commit_that_a_force_push_took_away_is_superseded_and_does_not_come_back() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("first");
    let check = world.repository.add_check_run(&commit, "test", CheckState::InProgress);
    register_light(&world, &light, &stage_path(), &commit).await;
    until(&world, &commit, waits_for("gate")).await;
    world.repository.force_push("main", "another first");
    // What was reported on it makes the gate look; a minute's silence would too.
    world.repository.add_check_run(&commit, "lint", CheckState::InProgress);
    let told = world.repository.until_status(&commit, "inactive", PATIENCE).await.unwrap();
    assert!(told.statuses.last().unwrap().description.contains("is not part of main any more"), "{told:?}");
    world.repository.complete_check_run(check, Conclusion::Success);

    let next = merge_green(&world, &light, "next").await;
    world.repository.until_status(&next, "success", PATIENCE).await.unwrap();
    let states: Vec<_> = world.deployments().await.into_iter().map(|it| (it.commit.to_string(), it.state)).collect();
    assert_eq!(states, [(next, DeploymentState::Succeeded), (commit, DeploymentState::Superseded)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_032_of_three_commits_that_come_during_a_deployment_only_the_newest_is_deployed_after_it() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let image = world.build(&[("SAMPLE_START_DELAY_MS", "3000")]).await;
    let first = world.merge("first");
    world.repository.add_check_run(&first, "test", GREEN);
    world.register(&first, &image, &world.config()).await;
    world.repository.until_status(&first, "in_progress", PATIENCE).await.unwrap();
    let mut later = Vec::new();
    for title in ["second", "third", "fourth"] {
        later.push(merge_green(&world, &light, title).await);
    }
    world.repository.until_status(&later[2], "success", PATIENCE).await.unwrap();
    let run = |it: &&DeploymentView| it.state == DeploymentState::Succeeded;
    let deployments = world.deployments().await;
    let run: Vec<&str> = deployments.iter().filter(run).map(|it| it.commit.as_str()).collect();
    assert_eq!(run, [later[2].as_str(), first.as_str()]);
    assert!(
        world.repository.deployments().iter().all(|it| !later[..2].contains(&it.sha) || it.states() != ["success"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_053_an_older_commit_gives_way_to_a_newer_one_however_late_it_is_built_and_green() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let older = world.repository.push("main", "older");
    let newer = world.repository.push("main", "newer");
    let check = world.repository.add_check_run_in(
        world.repository.add_check_suite(&newer, "some-ci"),
        "test",
        CheckState::InProgress,
    );
    let ask = async |commit: &str| {
        let job = Job::start(&world, NewJob::on_push(commit)).await;
        let registered = job.register(commit, light.as_str(), json!({ "config": LIGHT })).await;
        let number = &registered.body["number"];
        let path = format!("{}/deployments", stage_path());
        let asked = job.post(&path, &json!({ "releases": { "default": number } })).await;
        asked.body["id"].as_str().unwrap_or_else(|| panic!("{asked:?}")).to_owned()
    };
    let of_newer = ask(&newer).await;
    until(&world, &newer, waits_for("gate")).await;
    let late = world.until_ended(&ask(&older).await).await;
    assert_eq!((late.state, late.reason.as_deref()), (DeploymentState::Superseded, Some("superseded")));
    world.repository.complete_check_run(check, Conclusion::Success);
    assert_eq!(world.until_ended(&of_newer).await.state, DeploymentState::Succeeded);

    // Asked for once more: what is active decides now.
    world.repository.add_check_run_in(world.repository.add_check_suite(&older, "some-ci"), "test", GREEN);
    let later = world.until_ended(&ask(&older).await).await;
    assert_eq!((later.state, later.reason.as_deref()), (DeploymentState::Superseded, Some("not_newer")), "{later:?}");
    world.repository.until_status(&older, "inactive", PATIENCE).await.unwrap();
    let stage = world.stage().await;
    assert_eq!(stage.apps[&AppName::unnamed()].active_commit.as_ref().map(|it| it.as_str()), Some(newer.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_053_of_two_commits_that_are_not_related_the_lower_release_is_the_older() {
    let world = World::start_with("oidc = { refs = [\"refs/heads/main\", \"refs/heads/side\"] }").await;
    let light = world.build(&[]).await;
    let main = world.repository.push("main", "on main");
    let base = world.repository.push("side", "from main");
    let main = (world.repository.force_push("main", "main again"), main).0;
    assert_ne!(base, main);
    let side = Job::start(&world, NewJob { branch: "side".to_owned(), ..NewJob::on_push(&base) }).await;
    world.repository.add_check_run_in(world.repository.add_check_suite(&base, "some-ci"), "test", GREEN);
    assert_eq!(side.register(&base, light.as_str(), json!({ "config": LIGHT })).await.body["number"], 1);
    world.repository.add_check_run(&main, "test", GREEN);
    assert_eq!(register_light(&world, &light, &stage_path(), &main).await, 2);
    let active = deploy(&world, &stage_path(), 2).await;
    assert_eq!(world.until_ended(active.id.as_str()).await.state, DeploymentState::Succeeded);

    let ask = async |release: u64| {
        let path = format!("{}/deployments", stage_path());
        let asked = side.post(&path, &json!({ "releases": { "default": release } })).await;
        world.until_ended(asked.body["id"].as_str().unwrap()).await
    };
    let lower = ask(1).await;
    assert_eq!((lower.state, lower.reason.as_deref()), (DeploymentState::Superseded, Some("not_newer")), "{lower:?}");
    let again = side.register(&base, light.as_str(), json!({ "config": LIGHT, "rebuild": true })).await;
    assert_eq!(again.body["number"], 3);
    assert_eq!(ask(3).await.state, DeploymentState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_054_a_stage_has_one_deployment_at_a_time_and_other_stages_theirs() {
    let world = World::start_with("[projects.\"acme/shop\".stages.staging]\ndeploy-on = []\nchecks = \"all\"").await;
    let light = world.build(&[]).await;
    let image = world.build(&[("SAMPLE_START_DELAY_MS", "120000")]).await;
    let commit = world.repository.push("main", "slow");
    world.repository.add_check_run(&commit, "test", GREEN);
    let config = world.config().replace("deadline = \"20s\"", "deadline = \"5m\"");
    world.register(&commit, &image, &config).await;
    let first = deploy(&world, &stage_path(), 1).await;
    until(&world, &commit, |it| it.state == DeploymentState::Running).await;

    let next = world.repository.push("main", "next");
    world.repository.add_check_run(&next, "test", GREEN);
    let number = register_light(&world, &light, &stage_path(), &next).await;
    let second = deploy(&world, &stage_path(), number).await;
    let waiting = until(&world, &next, waits_for("queue")).await;
    assert!(waiting.why.as_deref().unwrap().contains(first.id.as_str()), "{:?}", waiting.why);
    let log = || async {
        let path = format!("/deployments/{}/log", second.id);
        world.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap()
    };
    let told = async {
        while !log().await.contains(&format!("waiting for its turn: Deploy release 1 ({}, tester) runs", first.id)) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("its log says whose turn it is");

    let staging = stage_path().replace("production", "staging");
    let number = register_light(&world, &light, &staging, &next).await;
    let beside = deploy(&world, &staging, number).await;
    assert_eq!(world.until_ended(beside.id.as_str()).await.state, DeploymentState::Succeeded);
    let stage: StageView = world.stage().await;
    assert_eq!(stage.lease.map(|lease| lease.deployment), Some(first.id.clone()), "the first still runs");

    let _: Value = world.post(&format!("/deployments/{}/cancel", first.id), &json!({})).await;
    assert_eq!(world.until_ended(first.id.as_str()).await.state, DeploymentState::Cancelled);
    assert_eq!(world.until_ended(second.id.as_str()).await.state, DeploymentState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_056_what_comes_to_a_locked_stage_is_told_so_and_the_newest_is_deployed_once_when_it_is_free() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let config = world.path("windlass-server.toml").display().to_string();
    let lock = async |arguments: &[&str], token: &str| {
        let arguments = [&["lock"], arguments].concat();
        let output = world.windlass(&arguments).env("WINDLASS_TOKEN", token).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let create = ["token", "create", "--config", &config, "--name", "bob", "--scopes", "deploy", "--json"];
    let created = world.windlass(&create).output().await.unwrap();
    let bob = serde_json::from_slice::<Value>(&created.stdout).unwrap()["token"].as_str().unwrap().to_owned();

    let (code, said) = lock(&["acquire", "--reason", "the auditors are here"], &world.token).await;
    assert_eq!(code, Some(0), "{said}");
    let first = merge_green(&world, &light, "first").await;
    let told = |it: &windlass_testing::github::DeploymentRecord| {
        it.sha == first && it.statuses.iter().any(|status| status.description.contains("the auditors are here"))
    };
    let told = world.repository.until_deployment(told, PATIENCE).await.unwrap();
    assert_eq!(told.state(), Some("queued"), "{told:?}");
    let second = merge_green(&world, &light, "second").await;
    let waiting = until(&world, &second, waits_for("lock")).await;
    assert!(waiting.why.as_deref().unwrap().contains("tester locked acme/shop/production"), "{:?}", waiting.why);

    // Somebody else's lock is in the way, and says whose.
    let (code, said) = lock(&["acquire", "--reason", "mine now"], &bob).await;
    assert!(code == Some(3) && said.contains("tester locked it: the auditors are here"), "{code:?} {said}");
    let (code, said) = lock(&["release"], &bob).await;
    assert!(code == Some(3) && said.contains("it was locked by tester"), "{code:?} {said}");
    let (code, said) = lock(&["acquire", "--reason", "mine now", "--force"], &bob).await;
    assert!(code == Some(0) && said.contains("it was locked by tester"), "{code:?} {said}");
    let (_, said) = lock(&["status"], &bob).await;
    assert!(said.contains("locked by you (bob)") && said.contains("mine now"), "{said}");
    let (code, said) = lock(&["release", "--force", "--json"], &world.token).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["released"]["by"], "bob");
    assert_eq!(lock(&["release"], &world.token).await.0, Some(1), "nobody has locked it any more");

    world.repository.until_status(&second, "success", PATIENCE).await.unwrap();
    let states: Vec<_> = world.deployments().await.into_iter().map(|it| (it.commit.to_string(), it.state)).collect();
    assert_eq!(states, [(second, DeploymentState::Succeeded), (first, DeploymentState::Superseded)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_057_neither_the_next_push_nor_a_build_that_was_running_undoes_a_rollback_and_people_do() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    for title in ["first", "second"] {
        let commit = merge_green(&world, &light, title).await;
        world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    }
    let building = world.repository.push("main", "building");
    world.repository.add_check_run_in(world.repository.add_check_suite(&building, "some-ci"), "test", GREEN);
    let job = Job::start(&world, NewJob::on_push(&building)).await;
    assert_eq!(world.deploy("rollback", None).await.state, DeploymentState::Succeeded);

    job.register(&building, light.as_str(), json!({ "config": LIGHT })).await;
    let path = format!("{}/deployments", stage_path());
    job.post(&path, &json!({ "releases": { "default": 3 } })).await;
    until(&world, &building, waits_for("hold")).await;
    let next = merge_green(&world, &light, "next").await;
    until(&world, &next, waits_for("hold")).await;
    let serves = async || world.stage().await.apps[&AppName::unnamed()].active.unwrap().0;
    assert_eq!(serves().await, 1);

    let by_hand = deploy(&world, &stage_path(), 2).await;
    assert_eq!(world.until_ended(by_hand.id.as_str()).await.state, DeploymentState::Succeeded);
    assert_eq!(serves().await, 2);
    assert!(world.stage().await.hold.is_some(), "the hold stays");
    let lifted = world.windlass(&["hold", "lift"]).output().await.unwrap();
    assert!(lifted.status.success(), "{lifted:?}");
    world.repository.until_status(&next, "success", PATIENCE).await.unwrap();
}
