//! From "activate accepted" to "switched", with the image present, beside the floor: the same app's bare create + start +
//! first healthy answer through Docker's API. For one task, for four, and back to a release whose stopped containers are
//! still there. All in one run, in turns. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a measurement that cannot go on has failed")]

#[path = "activate/bare.rs"]
mod bare;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/world.rs"]
mod world;

use std::time::Duration;

use windlass_core::Timestamp;
use windlass_core::api::{DeploymentView, Release, StepState};
use windlass_core::deployment::DeploymentState;
use windlass_core::names::Digest;
use windlass_core::plan::StepKind;

use bare::Bare;
use world::{PATIENCE, World, stage_path};

const ROUNDS: usize = 10;
const TASKS: usize = 4;

#[tokio::main]
async fn main() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let bare = Bare::new(&world, &image).await;
    println!("{ROUNDS} rounds each, milliseconds:                  min  median     max");
    one_task(&world, &bare, &image).await;
    several_tasks(&world, &bare, &image).await;
    back_to_the_release_before(&world, &bare, &image).await;
}

async fn one_task(world: &World, bare: &Bare, image: &Digest) {
    let release = activate_first(world, image, "one task", "").await;
    let (mut floor, mut switched, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(bare.boot().await);
        let took = activate(world, "redeploy", &release).await;
        switched.push(took.until_switched);
        whole.push(took.until_succeeded);
    }
    report("1 task: bare create + start + first answer", floor);
    report("1 task: activate accepted to switched", switched);
    report("1 task: activate accepted to succeeded", whole);
}

async fn several_tasks(world: &World, bare: &Bare, image: &Digest) {
    let release = activate_first(world, image, "several tasks", &format!("scale = {TASKS}")).await;
    let (mut in_turn, mut at_once, mut switched, mut whole) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        in_turn.push(bare.boot_in_turn(TASKS).await);
        at_once.push(bare.boot_at_once(TASKS).await);
        let took = activate(world, "redeploy", &release).await;
        switched.push(took.until_switched);
        whole.push(took.until_succeeded);
    }
    report(&format!("{TASKS} tasks: bare, one after another"), in_turn);
    report(&format!("{TASKS} tasks: bare, all at once"), at_once);
    report(&format!("{TASKS} tasks: activate accepted to switched"), switched);
    report(&format!("{TASKS} tasks: activate accepted to succeeded"), whole);
}

/// The release before is warm: its containers were stopped and are kept.
async fn back_to_the_release_before(world: &World, bare: &Bare, image: &Digest) {
    let before = activate_first(world, image, "before", "").await;
    let after = activate_first(world, image, "after", "").await;
    let (mut floor, mut switched, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(bare.start_again().await);
        let took = activate(world, "rollback", &before).await;
        switched.push(took.until_switched);
        whole.push(took.until_succeeded);
        activate(world, "redeploy", &after).await;
    }
    report("rollback: bare start of a stopped one", floor);
    report("rollback: accepted to switched", switched);
    report("rollback: accepted to succeeded", whole);
}

/// Registers a release and makes it active for the first time.
async fn activate_first(world: &World, image: &Digest, title: &str, more: &str) -> Release {
    let config = world.config_with(more).replace("watch = \"500ms\"", "watch = \"0s\"");
    let release = world.release(title, image, &config).await;
    activate(world, "deploy", &release).await;
    release
}

struct Took {
    until_switched: Duration,
    until_succeeded: Duration,
}

/// One deployment: no CI to ask unless it is the release's first, nothing to pull. Comes back once the tasks before have
/// been stopped, so that the next one begins on a quiet host.
async fn activate(world: &World, kind: &str, release: &Release) -> Took {
    let body = serde_json::json!({ "kind": kind, "releases": { "default": release.number } });
    let started: DeploymentView = world.post(&format!("{}/deployments", stage_path()), &body).await;
    let accepted = Timestamp::now();
    let ended = world.until_ended(started.id.as_str()).await;
    assert_eq!(ended.state, DeploymentState::Succeeded, "{ended:#?}");
    until_retired(world, &ended).await;
    let since = |at: Option<Timestamp>| Duration::try_from(at.unwrap().duration_since(accepted)).unwrap_or_default();
    let switch = ended.steps.iter().find(|step| step.step == StepKind::Switch).unwrap();
    Took { until_switched: since(switch.ended_at), until_succeeded: since(ended.ended_at) }
}

async fn until_retired(world: &World, deployment: &DeploymentView) {
    let retired = async {
        loop {
            let view: DeploymentView = world.get(&format!("/deployments/{}", deployment.id)).await;
            if view.steps.iter().any(|step| step.step == StepKind::Retire && step.state == StepState::Done) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, retired).await.expect("what was before is retired");
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let median = (milliseconds(times[(times.len() - 1) / 2]) + milliseconds(times[times.len() / 2])) / 2.0;
    let (least, most) = (milliseconds(times[0]), milliseconds(times[times.len() - 1]));
    println!("{what:<44}  {least:6.0}  {median:6.0}  {most:6.0}");
}
