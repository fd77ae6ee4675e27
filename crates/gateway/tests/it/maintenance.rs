//! An app that is kept from its clients.

use http_body_util::BodyExt;
use hyper::Request;
use windlass_core::gateway::{Maintenance, ServiceKey, SetMaintenance};
use windlass_core::problem::Problem;

use crate::backend::Backend;
use crate::client::{Client, nothing};
use crate::harness::{Front, HOST, spec};

const KEY: &str = "1/production/default";

async fn say(front: &Front, number: u64, message: Option<&str>, on: bool) -> Result<(), Problem> {
    let maintenance = on.then(|| Maintenance { message: message.map(ToOwned::to_owned) });
    let request = SetMaintenance { key: ServiceKey(KEY.to_owned()), number, maintenance };
    front.control.send("POST", "/v1/maintenance", &request).await.map(|body| assert!(body.is_empty()))
}

#[tokio::test]
async fn whoever_asks_is_told_so_in_the_form_that_it_takes() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    say(&front, 1, Some("Back at 9.\n<script>{request-id}</script>"), true).await.unwrap();
    let ask = async |accept: &str| {
        let request = Request::post("/cart").header("host", HOST).header("accept", accept).body(nothing()).unwrap();
        let response = Client::connect(front.http()).await.send(request).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"120".parse().unwrap()));
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        let (kind, id) = (header("content-type"), header("x-request-id"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (kind, id, String::from_utf8(body.to_vec()).unwrap())
    };
    let (kind, id, page) = ask("text/html,*/*;q=0.8").await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(page.contains("<p>Back at 9.\n&lt;script&gt;&#123;request-id}&lt;/script&gt;</p>"), "{page}");
    assert!(page.contains(&format!("Request {id}<")), "{page}");
    let (kind, id, text) = ask("*/*").await;
    assert_eq!(kind, "text/plain; charset=utf-8");
    let told = format!("Down for maintenance. Back at 9.\n<script>{{request-id}}</script>\nRequest {id}\n");
    assert_eq!(text, told);
    assert_eq!(app.hits(), 0);
}

#[tokio::test]
async fn the_health_path_leads_to_the_app_still_and_all_do_when_it_is_over() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    say(&front, 1, None, true).await.unwrap();
    assert_eq!(front.get("/").await.0, 503);
    assert_eq!(front.get("/up/x").await.0, 503);
    app.set_healthy(true);
    assert_eq!(front.get("/up").await, (200, String::new()));
    assert_eq!(front.get("/up?deep").await, (200, String::new()));
    say(&front, 2, None, false).await.unwrap();
    assert_eq!(front.get("/").await, (200, "app".to_owned()));
}

#[tokio::test]
async fn it_outlives_a_switch_and_the_gateway_itself() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let front = Front::start().await;
    say(&front, 4, Some("soon"), true).await.unwrap();
    front.control.switch(spec(1, &[&one])).await.unwrap();
    assert_eq!(front.get("/").await.0, 503, "said before there was an app");
    front.control.switch(spec(2, &[&two])).await.unwrap();
    assert_eq!(front.get("/").await.0, 503);
    let front = Front::start_in(front.stop().await).await;
    assert!(front.get("/").await.1.contains("soon"));
    let status = front.control.status().await.maintenance;
    assert_eq!(
        status.iter().map(|(key, it)| (key.0.as_str(), it.number, it.is_on)).collect::<Vec<_>>(),
        [(KEY, 4, true)]
    );
    assert_eq!(say(&front, 3, None, false).await.unwrap_err().code, "older_maintenance");
    say(&front, 5, None, false).await.unwrap();
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(front.get("/").await.1, "two");
    assert_eq!(
        say(&front, 4, None, true).await.unwrap_err().code,
        "older_maintenance",
        "it is remembered after its end"
    );
}

#[tokio::test]
async fn a_word_that_comes_late_or_twice_changes_nothing() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    say(&front, 7, None, true).await.unwrap();
    say(&front, 7, None, true).await.unwrap();
    for (number, on) in [(7, false), (6, false), (6, true)] {
        let problem = say(&front, number, None, on).await.unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (409, "older_maintenance"));
    }
    assert_eq!(front.get("/").await.0, 503);
}

#[tokio::test]
async fn who_waits_for_an_app_is_told_too() {
    let front = Front::start().await;
    front.control.switch_unchecked(spec(1, &[])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let waiting = tokio::spawn(async move { client.get(HOST, "/").await.unwrap() });
    tokio::task::yield_now().await;
    say(&front, 1, Some("soon"), true).await.unwrap();
    let (status, text) = waiting.await.unwrap();
    assert!(status == 503 && text.contains("soon"), "{status} {text}");
}
