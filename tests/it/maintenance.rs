//! An app that is kept from its clients stays so, whatever restarts, until somebody lets them in.

use std::time::{Duration, Instant};

use windlass_core::api::MaintenanceTold;
use windlass_core::deployment::DeploymentState;

use crate::world::{PATIENCE, World};

async fn windlass(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = world.windlass(arguments).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn status(world: &World, path: &str) -> u16 {
    world.app(path).send().await.map_or(0, |answer| answer.status().as_u16())
}

async fn until_status(world: &World, expected: u16) {
    let begun = Instant::now();
    while status(world, "/").await != expected {
        assert!(begun.elapsed() < PATIENCE, "never {expected}\n{}", world.service_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_kept_from_its_clients_until_somebody_lets_them_in_whatever_restarts() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    world.release("one", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    let (code, said, _) = windlass(&world, &["app", "maintenance", "on", "--message", "Back at <9>."]).await;
    assert_eq!(code, Some(0), "{said}");
    let answer = world.app("/").header("accept", "text/html").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "120"));
    assert!(answer.text().await.unwrap().contains("Back at &lt;9&gt;."));
    assert_eq!(status(&world, "/up").await, 200, "the health path");
    let app = world.stage().await.apps.into_values().next().unwrap();
    let shown = app.maintenance.unwrap();
    assert_eq!((shown.by.as_str(), shown.message.as_deref()), ("tester", Some("Back at <9>.")));
    let (_, said, _) = windlass(&world, &["status"]).await;
    assert!(
        said.contains("maintenance: default is kept from its clients by tester") && said.contains("Back at"),
        "{said}"
    );

    world.kill_service().await;
    world.kill_gateway().await;
    world.start_gateway().await;
    assert_eq!(status(&world, "/").await, 503, "by its snapshot");
    world.start_service().await;
    world.release("two", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(2)).await.state, DeploymentState::Succeeded);
    assert_eq!(status(&world, "/").await, 503, "a deployment lets nobody in");

    let (code, _, _) = windlass(&world, &["app", "maintenance", "off"]).await;
    assert_eq!(code, Some(0));
    assert!(world.answer().await.starts_with("release 2 "));
    let (code, _, said) = windlass(&world, &["app", "maintenance", "off"]).await;
    assert!(code == Some(1) && said.contains("nothing keeps the app of"), "{said}");
    assert!(world.stage().await.apps.into_values().next().unwrap().maintenance.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_away_or_has_lost_its_memory_is_told_what_it_missed() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    world.release("one", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    world.kill_gateway().await;
    let (code, said, _) = windlass(&world, &["app", "maintenance", "on", "--json"]).await;
    let told: MaintenanceTold = serde_json::from_str(&said).unwrap();
    assert_eq!(code, Some(1), "nobody has heard it: {said}");
    assert!(
        told.maintenance.is_some() && told.warnings[0].contains("the gateway of host a does not know it yet"),
        "{said}"
    );
    world.start_gateway().await;
    until_status(&world, 503).await;

    world.kill_gateway().await;
    std::fs::remove_file(world.path("data/gateway-a.json")).unwrap();
    world.start_gateway().await;
    let begun = Instant::now();
    loop {
        // Nobody gets to the app on the way, and not for a moment.
        match status(&world, "/").await {
            503 => break,
            status => assert_eq!(status, 404, "the gateway knows of nothing yet"),
        }
        assert!(begun.elapsed() < 4 * PATIENCE, "{}", world.service_log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    world.kill_gateway().await;
    assert_eq!(windlass(&world, &["app", "maintenance", "off"]).await.0, Some(1));
    world.start_gateway().await;
    world.until_answer("release 1 ").await;
}
