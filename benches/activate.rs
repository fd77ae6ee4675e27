//! From "activate accepted" to "switched", with the image present, beside the floor: the same app's bare create + start +
//! first healthy answer through Docker's API. Both in one run, in turns. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a measurement that cannot go on has failed")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/world.rs"]
mod world;

use std::time::{Duration, Instant};

use windlass_core::Timestamp;
use windlass_core::api::DeploymentView;
use windlass_core::names::Digest;
use windlass_core::plan::StepKind;
use windlass_testing::github::{CheckState, Conclusion};

use world::{PATIENCE, World, stage_path};

const ROUNDS: usize = 10;

#[tokio::main]
async fn main() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let config = world.config().replace("watch = \"500ms\"", "watch = \"0s\"");
    let commit = world.merge("measured");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &config).await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();

    let (mut floor, mut switched, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(bare(&world, &image).await);
        let (until_switch, until_end) = activate(&world).await;
        switched.push(until_switch);
        whole.push(until_end);
    }
    println!("{ROUNDS} rounds, milliseconds:          min  median     max");
    report("bare create + start + first answer", floor);
    report("activate accepted to switched     ", switched);
    report("activate accepted to succeeded    ", whole);
}

/// One deployment of the active release again: no CI to ask, nothing to pull, one task.
async fn activate(world: &World) -> (Duration, Duration) {
    let body = serde_json::json!({ "kind": "redeploy" });
    let started: DeploymentView = world.post(&format!("{}/deployments", stage_path()), &body).await;
    let accepted = Timestamp::now();
    let ended = world.until_ended(started.id.as_str()).await;
    let since = |at: Option<Timestamp>| Duration::try_from(at.unwrap().duration_since(accepted)).unwrap_or_default();
    let switch = ended.steps.iter().find(|step| step.step == StepKind::Switch).unwrap();
    (since(switch.ended_at), since(ended.ended_at))
}

/// The same image, limits and kind of network, with nothing in between but Docker's API.
async fn bare(world: &World, image: &Digest) -> Duration {
    let docker = reqwest::Client::builder().unix_socket("/var/run/docker.sock").build().unwrap();
    let post = |path: String, body: serde_json::Value| {
        let request = docker.post(format!("http://docker/v1.41{path}")).json(&body);
        async move { request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap() }
    };
    let http = reqwest::Client::new();
    let network = world.engine.ensure_network().await.unwrap();
    let begun = Instant::now();
    let container = serde_json::json!({
        "Image": image, "Env": ["PORT=3000"], "HostConfig": { "NetworkMode": network }
    });
    let created: serde_json::Value =
        serde_json::from_str(&post("/containers/create".to_owned(), container).await).unwrap();
    let id = created["Id"].as_str().unwrap().to_owned();
    post(format!("/containers/{id}/start"), serde_json::json!({})).await;
    let inspect = docker.get(format!("http://docker/v1.41/containers/{id}/json")).send().await.unwrap();
    let inspected: serde_json::Value = inspect.json().await.unwrap();
    let networks = inspected["NetworkSettings"]["Networks"].as_object().unwrap();
    let address = networks.values().next().unwrap()["IPAddress"].as_str().unwrap().to_owned();
    let answers = async || Some(http.get(format!("http://{address}:3000/up")).send().await.ok()?.status() == 200);
    while answers().await != Some(true) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = begun.elapsed();
    let remove = docker.delete(format!("http://docker/v1.41/containers/{id}?force=true"));
    remove.send().await.unwrap().error_for_status().unwrap();
    took
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let median = (milliseconds(times[(times.len() - 1) / 2]) + milliseconds(times[times.len() / 2])) / 2.0;
    let (least, most) = (milliseconds(times[0]), milliseconds(times[times.len() - 1]));
    println!("{what}  {least:6.0}  {median:6.0}  {most:6.0}");
}
