//! The gateway needs nobody: killed under load and started alone, it knows whom to send to.

use std::time::{Duration, Instant};

use windlass_core::deployment::DeploymentState;

use crate::crash::Client;
use crate::world::{HOST, PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_killed_under_load_answers_with_the_right_release_and_without_the_service() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    for number in [1, 2] {
        world.release(&format!("release {number}"), &image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    // What is right is neither the newest nor what came last before.
    assert_eq!(world.deploy("rollback", Some(1)).await.state, DeploymentState::Succeeded);

    let load = Client::start(&world);
    load.until_answered(100).await;
    world.kill_service().await;
    world.kill_gateway().await;
    let first = tokio::spawn(first_answer(format!("http://{}/", world.gateway_address)));
    let begun = Instant::now();
    world.start_gateway().await;
    let (status, text, at) = tokio::time::timeout(PATIENCE, first).await.expect("it answers").unwrap();
    assert!(status == 200 && text.starts_with("release 1 "), "the first answer was {status} {text}");
    println!("{:?} from the start of the process to its first answer (not asserted)", at.duration_since(begun));

    // What was under way at the kill has failed; nothing does any more.
    let (answered, failed) = load.stop_anyway().await;
    println!("under load: {answered} answered, {failed} failed while there was no gateway");
    let after = Client::start(&world);
    after.until_answered(200).await;
    after.stop().await;
}

/// Asks until somebody is there.
async fn first_answer(url: String) -> (reqwest::StatusCode, String, Instant) {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    loop {
        if let Ok(answer) = client.get(&url).header("host", HOST).send().await {
            let (status, at) = (answer.status(), Instant::now());
            return (status, answer.text().await.unwrap(), at);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
