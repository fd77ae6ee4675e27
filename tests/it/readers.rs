//! Many who follow one deployment, whom nobody has asked for a token.

use std::net::IpAddr;
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use reqwest::{Client, Response};
use windlass_core::api::DeploymentView;
use windlass_core::deployment::DeploymentState;
use windlass_core::problem::Problem;

use crate::world::{PATIENCE, World, stage_path};

/// So many may follow from one address without a token.
const OF_ONE_ADDRESS: usize = 100;

/// A client at this address of the machine's own.
fn at(address: [u8; 4]) -> Client {
    Client::builder().local_address(IpAddr::from(address)).no_proxy().timeout(PATIENCE).build().unwrap()
}

/// A deployment whose migration has a line of log to tell every 100 ms, for this long.
async fn begun(world: &World, migrates: Duration) -> (DeploymentView, String) {
    let milliseconds = migrates.as_millis().to_string();
    let image = world.build(&[("SAMPLE_MIGRATE_MS", &milliseconds)]).await;
    world.release("first", &image, &world.config_with("migrate = { command = [\"migrate\"] }")).await;
    let body = serde_json::json!({ "releases": { "default": 1 } });
    let started: DeploymentView = world.post(&format!("{}/deployments", stage_path()), &body).await;
    let events = format!("http://{}/deployments/{}/events", world.service_address, started.id);
    (started, events)
}

/// The ids and words of all that comes until the stream ends.
async fn hear(stream: Response) -> Vec<(u64, String)> {
    let events = stream.bytes_stream().eventsource();
    events.map(|event| event.unwrap()).map(|event| (event.id.parse().unwrap(), event.data)).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_109d_so_many_of_one_address_follow_a_deployment_and_hear_all_of_it_and_more_are_sent_away() {
    let world = World::start().await;
    let (started, events) = begun(&world, Duration::from_secs(4)).await;
    let one = at([127, 0, 0, 1]);
    let readers = (0..OF_ONE_ADDRESS).map(|_| one.get(&events).send());
    let readers = try_join_all(readers).await.unwrap();
    assert!(readers.iter().all(|reader| reader.status() == 200));

    let refused = one.get(&events).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(refused.json::<Problem>().await.unwrap().code, "too_many_readers");

    let elsewhere = at([127, 0, 0, 2]).get(&events).send().await.unwrap();
    assert_eq!(elsewhere.status(), 200, "another address has places of its own");
    let with_token = format!("/deployments/{}/events", started.id);
    let with_token = world.request(reqwest::Method::GET, &with_token).send().await.unwrap();
    assert_eq!(with_token.status(), 200, "and so has whoever has a token");
    let behind_a_proxy = one.get(&events).header("x-forwarded-for", "203.0.113.7").send().await.unwrap();
    assert_eq!(behind_a_proxy.status(), 200, "and who comes through a proxy on the machine");

    let heard = join_all(readers.into_iter().chain([elsewhere, with_token, behind_a_proxy]).map(hear)).await;
    assert_eq!(world.until_ended(started.id.as_str()).await.state, DeploymentState::Succeeded);
    let late = one.get(&events).send().await.unwrap();
    assert_eq!(late.status(), 200, "who has gone has given the place back");
    let all = hear(late).await;
    assert!(all.iter().map(|(id, _)| *id).eq(1..=all.len() as u64), "{all:?}");
    for heard in heard {
        // The stream ends with the last word; what a success leaves to clean up comes after it.
        assert!(heard.len() > 20 && all.starts_with(&heard), "{heard:?}");
        assert!(heard.iter().any(|(_, data)| data.contains("\"ended\"")), "{heard:?}");
    }
    let rest = hear(one.get(format!("{events}?after=20")).send().await.unwrap()).await;
    assert!(rest.starts_with(&all[20..]), "a page asks for what it does not have yet: {rest:?}");
}
