//! An app's own pages, for what the gateway has to say in its place.

use std::collections::BTreeMap;

use http_body_util::BodyExt;
use windlass_core::gateway::{Maintenance, ServiceSpec, SetMaintenance};

use crate::backend::Backend;
use crate::client::{Client, get};
use crate::harness::{Front, HOST, spec};

fn with_pages(generation: u64, backends: &[&Backend]) -> ServiceSpec {
    let page = |text: &str| format!("<h1>{text}</h1><p>{{request-id}} {{request-id}}</p>");
    ServiceSpec { pages: BTreeMap::from([(502, page("It broke")), (503, page("Away"))]), ..spec(generation, backends) }
}

/// Status, kind, id and body.
async fn ask(front: &Front, path: &str) -> (u16, String, String, String) {
    let response = Client::connect(front.http()).await.send(get(HOST, path)).await.unwrap();
    let header = |name| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
    let (status, kind, id) = (response.status().as_u16(), header("content-type"), header("x-request-id"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, kind, id, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_apps_page_is_shown_in_the_place_of_the_gateways_words_and_says_which_request_it_was() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    let gone = spec(1, &[&app]).targets;
    drop(app);
    front.control.switch_unchecked(ServiceSpec { targets: gone, hold: none(), ..with_pages(1, &[]) }).await.unwrap();
    let (status, kind, id, body) = ask(&front, "/").await;
    assert_eq!((status, kind.as_str()), (502, "text/html; charset=utf-8"));
    assert_eq!(body, format!("<h1>It broke</h1><p>{id} {id}</p>"));
}

fn none() -> windlass_core::gateway::Hold {
    windlass_core::gateway::Hold { requests: 0, time: windlass_core::quantity::Duration::from_secs(1) }
}

#[tokio::test]
async fn what_the_app_answers_itself_is_never_replaced() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(with_pages(1, &[&app])).await.unwrap();
    let (status, _, _, body) = ask(&front, "/broken").await;
    assert_eq!((status, body.as_str()), (502, "app"));
}

#[tokio::test]
async fn a_status_without_a_page_and_another_apps_address_get_the_plain_words() {
    let front = Front::start().await;
    let mut spec = ServiceSpec { hold: none(), ..with_pages(1, &[]) };
    spec.pages.remove(&503);
    front.control.switch_unchecked(spec).await.unwrap();
    let (status, _, id, body) = ask(&front, "/").await;
    assert_eq!((status, body), (503, format!("The app is not running.\nRequest {id}\n")));
    let response = Client::connect(front.http()).await.get("other.test", "/").await.unwrap();
    assert!(response.0 == 404 && response.1.starts_with("Nothing is deployed"), "{response:?}");
}

#[tokio::test]
async fn the_page_of_503_is_the_one_of_maintenance_too() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(with_pages(1, &[&app])).await.unwrap();
    let maintenance = Some(Maintenance { message: Some("soon".to_owned()) });
    let request = SetMaintenance { key: with_pages(1, &[]).key, number: 1, maintenance };
    front.control.send("POST", "/v1/maintenance", &request).await.unwrap();
    let (status, kind, id, body) = ask(&front, "/").await;
    assert_eq!((status, kind.as_str()), (503, "text/html; charset=utf-8"));
    assert_eq!(body, format!("<h1>Away</h1><p>{id} {id}</p>"));
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(ask(&front, "/").await.0, 503, "the pages are in the snapshot");
    assert!(ask(&front, "/").await.3.contains("Away"));
}
