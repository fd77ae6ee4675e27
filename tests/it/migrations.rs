//! A release's migration: before anything of the release serves, once, and never in the way of what serves.

use windlass_core::api::DeploymentView;
use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_core::labels::Kind;
use windlass_core::plan::StepKind;
use windlass_core::task::TaskStatus;
use windlass_testing::github::DeploymentRecord;

use crate::container_events::ContainerEvents;
use crate::world::{DATABASE_URL, PATIENCE, World, stage_path};

const MIGRATE: &str = "migrate = { command = [\"migrate\"] }";

#[tokio::test(flavor = "multi_thread")]
async fn rule_086_a_migration_that_fails_leaves_the_old_release_serving_and_tells_its_last_lines_without_secrets() {
    let world = World::start().await;
    let events = first_release_serves(&world).await;
    // Only the new image fails: it is the one that the migration runs in.
    let image = world.build(&[("SAMPLE_MIGRATE_EXIT", "4"), ("SAMPLE_TELL", "DATABASE_URL")]).await;
    let config = world.config_with(&format!("{MIGRATE}\nsecrets = [\"DATABASE_URL\"]"));
    let commit = world.release("fails", &image, &config).await.commit;
    let deployment = world.deploy("deploy", Some(2)).await;

    let failure = deployment.failure.as_ref().unwrap();
    assert_eq!((deployment.state, failure.code), (DeploymentState::Failed, FailureCode::MigrationFailed), "{failure}");
    for line in ["connecting to ***", "migration failed: column \"price\""] {
        assert!(failure.log.iter().any(|it| it.contains(line)), "{line}: {:?}", failure.log);
    }
    let told = the_old_release_serves(&world, &events, commit.as_str()).await;
    assert!(told.statuses.last().unwrap().description.contains("exit status 4"), "{told:?}");
    assert!(!format!("{deployment:?} {told:?}").contains(DATABASE_URL));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_086_a_migration_has_ended_before_a_task_of_its_release_is_made() {
    let world = World::start().await;
    let events = first_release_serves(&world).await;
    let image = world.build(&[("SAMPLE_MIGRATE_MS", "500")]).await;
    world.release("migrates", &image, &world.config_with(MIGRATE)).await;
    assert_eq!(world.deploy("deploy", Some(2)).await.state, DeploymentState::Succeeded);
    events.until(|event| event.is("start", Kind::Service, 2)).await;
    let seen = events.so_far();
    let place = |action, kind| seen.iter().position(|event| event.is(action, kind, 2));
    let (migrated, made) = (place("die", Kind::Task).unwrap(), place("create", Kind::Service).unwrap());
    assert!(migrated < made, "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_088_a_migration_past_its_deadline_is_stopped_and_the_deployment_fails() {
    let world = World::start().await;
    let events = first_release_serves(&world).await;
    let image = world.build(&[("SAMPLE_MIGRATE_MS", "600000")]).await;
    let config = world.config_with("migrate = { command = [\"migrate\"], timeout = \"1s\" }");
    let commit = world.release("hangs", &image, &config).await.commit;
    let deployment = world.deploy("deploy", Some(2)).await;

    let failure = deployment.failure.as_ref().unwrap();
    assert_eq!((deployment.state, failure.code), (DeploymentState::Failed, FailureCode::MigrationTimeout), "{failure}");
    assert!(failure.summary.contains("`migrate` did not end within 1s and was stopped"), "{failure}");
    for line in ["migration step", "stopping"] {
        assert!(failure.log.iter().any(|it| it.contains(line)), "{line}: {:?}", failure.log);
    }
    the_old_release_serves(&world, &events, commit.as_str()).await;
    assert_eq!(events.count(|event| event.is("die", Kind::Task, 2)), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_087_a_service_that_is_killed_while_a_migration_runs_waits_for_that_one() {
    let mut world = World::start().await;
    let events = first_release_serves(&world).await;
    let image = world.build(&[("SAMPLE_MIGRATE_MS", "3000")]).await;
    world.release("migrates", &image, &world.config_with(MIGRATE)).await;
    let started = begin(&world, 2).await;
    until_it_migrates(&world, &started).await;
    world.kill_service().await;
    assert_eq!(running_migrations(&world).await, 1, "nobody else ends it");
    world.start_service().await;
    assert_eq!(world.until_ended(started.id.as_str()).await.state, DeploymentState::Succeeded);
    ran_once(&world, &events, &started, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_087_a_migration_that_ends_while_the_service_is_dead_has_run() {
    let mut world = World::start().await;
    let events = first_release_serves(&world).await;
    let image = world.build(&[("SAMPLE_MIGRATE_MS", "1500")]).await;
    world.release("migrates", &image, &world.config_with(MIGRATE)).await;
    let started = begin(&world, 2).await;
    until_it_migrates(&world, &started).await;
    world.kill_service().await;
    events.until(|event| event.is("die", Kind::Task, 2)).await;
    world.start_service().await;
    assert_eq!(world.until_ended(started.id.as_str()).await.state, DeploymentState::Succeeded);
    ran_once(&world, &events, &started, 2).await;

    let again = world.deploy("redeploy", None).await;
    assert_eq!(again.state, DeploymentState::Succeeded);
    assert!(again.steps.iter().all(|step| step.step != StepKind::Migrate), "its success is on record: {again:?}");
}

async fn first_release_serves(world: &World) -> ContainerEvents {
    let events = ContainerEvents::of(world);
    let image = world.build(&[]).await;
    world.release("good", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    events
}

/// The new release has left nothing behind, and GitHub knows that it failed.
async fn the_old_release_serves(world: &World, events: &ContainerEvents, commit: &str) -> DeploymentRecord {
    assert!(world.answer().await.starts_with("release 1 "));
    let running = world.engine.observe().await.unwrap();
    assert!(running.iter().all(|task| task.labels.release.0 == 1), "{running:?}");
    events.until(|event| event.is("destroy", Kind::Task, 2)).await;
    assert_eq!(events.count(|event| event.is("create", Kind::Service, 2)), 0, "nothing else of it was ever made");
    assert_eq!(events.count(|event| event.is("die", Kind::Service, 1)), 0, "what serves was never stopped");
    let failed = |it: &DeploymentRecord| it.sha == commit && it.state() == Some("failure");
    world.repository.until_deployment(failed, PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_109e_a_migration_that_writes_without_end_is_stopped_in_time_and_little_of_it_is_kept() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let flood = "migrate = { command = [\"flood\", \"600000\", \"200\"], timeout = \"5s\" }";
    world.release("floods", &image, &world.config_with(flood)).await;
    let deployment = world.deploy("deploy", Some(1)).await;
    let failure = deployment.failure.as_ref().unwrap();
    assert_eq!(failure.code, FailureCode::MigrationTimeout, "{failure}");
    let migrate = deployment.steps.iter().find(|step| step.step == StepKind::Migrate).unwrap();
    let took = migrate.ended_at.unwrap().duration_since(migrate.started_at.unwrap());
    assert!(took.as_secs() < 40, "5s, and what stopping takes on a busy machine: {took}");

    // One line that is larger than many logs.
    let line = "migrate = { command = [\"flood\", \"1\", \"50000000\"] }";
    let image = world.build(&[("SAMPLE_VERSION", "2")]).await;
    world.release("has-much-to-say", &image, &world.config_with(line)).await;
    let second = world.deploy("deploy", Some(2)).await;
    assert_eq!(second.state, DeploymentState::Succeeded, "{second:?}");

    let store: u64 = ["windlass.db", "windlass.db-wal"]
        .iter()
        .filter_map(|file| std::fs::metadata(world.path("data").join(file)).ok())
        .map(|file| file.len())
        .sum();
    assert!((1..16 << 20).contains(&store), "{store} bytes of store");
    let bytes_more = "bytes more)";
    let views =
        [(&deployment, "lines are not shown here", "lines were left out here"), (&second, bytes_more, bytes_more)];
    for (view, of_page, of_log) in views {
        let page = reqwest::get(&view.url).await.unwrap().text().await.unwrap();
        assert!(page.len() < 4 << 20 && page.contains(of_page), "{} bytes: {of_page}", page.len());
        let log = reqwest::get(format!("{}/log", view.url)).await.unwrap().text().await.unwrap();
        assert!(log.len() < 4 << 20 && log.contains(of_log), "{} bytes: {of_log}", log.len());
    }
    let most = world.service_memory_at_most();
    assert!(most < 300 << 20, "{} MB of memory at its peak", most >> 20);
}

async fn begin(world: &World, release: u64) -> DeploymentView {
    let body = serde_json::json!({ "releases": { "default": release } });
    world.post(&format!("{}/deployments", stage_path()), &body).await
}

/// Its first lines are in the deployment's log.
async fn until_it_migrates(world: &World, deployment: &DeploymentView) {
    let url = format!("/deployments/{}/events", deployment.id);
    let mut stream = world.request(reqwest::Method::GET, &url).send().await.unwrap();
    let mut told = String::new();
    while !told.contains("migration step 3") {
        let more = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&more.expect("the deployment has not ended")));
    }
}

async fn running_migrations(world: &World) -> usize {
    let tasks = world.engine.observe().await.unwrap();
    tasks.iter().filter(|task| task.labels.kind == Kind::Task && task.status == TaskStatus::Running).count()
}

/// By Docker's word, by the log's and on the page.
async fn ran_once(world: &World, events: &ContainerEvents, deployment: &DeploymentView, release: u64) {
    assert!(world.answer().await.starts_with(&format!("release {release} ")));
    events.until(|event| event.is("destroy", Kind::Task, release)).await;
    for action in ["create", "start", "die", "destroy"] {
        assert_eq!(events.count(|event| event.is(action, Kind::Task, release)), 1, "{action}");
    }
    let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
    for line in [format!("migrating to release {release}"), format!("migrated to release {release}")] {
        assert_eq!(page.matches(&line).count(), 1, "{line} in\n{page}");
    }
}
