//! The gateway's numbers, as Prometheus reads them.

use windlass_core::gateway::ServiceSpec;
use windlass_core::names::{Generation, ReleaseNumber};
use windlass_gateway::GatewayOptions;

use crate::backend::Backend;
use crate::client::{self, Client};
use crate::harness::{Front, HOST, eventually, options, route, spec};

async fn counting() -> Front {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Some(([127, 0, 0, 1], 0).into());
    Front::start_with(GatewayOptions { metrics, ..options(folder.path()) }, folder).await
}

/// All of them.
pub(crate) async fn read(front: &Front) -> String {
    let (status, text) = client::fetch(front.gateway.metrics_addr().unwrap(), "metrics", "/metrics").await;
    assert_eq!(status, 200);
    text
}

/// Those that begin so, without the prefix that all have.
async fn lines(front: &Front, name: &str) -> Vec<String> {
    let text = read(front).await;
    let ours = text.lines().filter_map(|line| line.strip_prefix("windlass_gateway_"));
    ours.filter(|line| line.starts_with(name)).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn requests_are_counted_by_route_release_and_status_whatever_they_ask_for() {
    let app = Backend::start("app").await;
    let front = counting().await;
    let routes = vec![route(HOST, "/"), route("*.shop.test", "/api")];
    front.control.switch(ServiceSpec { routes, ..spec(7, &[&app]) }).await.unwrap();
    for number in 0..20 {
        front.get(&format!("/{number}")).await;
        client::fetch(front.http(), &format!("host{number}.shop.test"), &format!("/api/{number}")).await;
        client::fetch(front.http(), &format!("host{number}.other.test"), "/").await;
    }
    let label = |host: &str, path: &str, rest: &str| {
        format!(r#"{{service="1/production/default",release="7",host="{host}",path="{path}"{rest}}}"#)
    };
    let expected = [
        format!("requests_total{} 20", label("*.shop.test", "/api", ",status=\"2xx\"")),
        format!("requests_total{} 20", label(HOST, "/", ",status=\"2xx\"")),
    ];
    eventually("all are counted", async || lines(&front, "requests_total").await == expected).await;
    assert_eq!(lines(&front, "unrouted_requests_total").await, [r#"unrouted_requests_total{status="4xx"} 20"#]);
    let sent = [
        format!("sent_bytes_total{} 60", label("*.shop.test", "/api", "")),
        format!("sent_bytes_total{} 60", label(HOST, "/", "")),
    ];
    eventually("their bytes too", async || lines(&front, "sent_bytes_total").await == sent).await;
    let count = r#"first_byte_seconds_count{service="1/production/default"} 40"#;
    assert_eq!(lines(&front, "first_byte_seconds_count").await, [count]);
    let all = r#"first_byte_seconds_bucket{service="1/production/default",le="+Inf"} 40"#;
    assert!(lines(&front, "first_byte_seconds_bucket").await.contains(&all.to_owned()), "{}", read(&front).await);
}

#[tokio::test]
async fn a_release_counts_on_across_writes_and_another_release_begins_at_nothing() {
    let apps = [Backend::start("one").await, Backend::start("two").await];
    let front = counting().await;
    let release = |generation, release, app| ServiceSpec {
        generation: Generation(generation),
        release: ReleaseNumber(release),
        ..spec(1, &[app])
    };
    let counted = |release: u64, number: u64| {
        let labels = r#"host="shop.test",path="/",status="2xx""#;
        format!(r#"requests_total{{service="1/production/default",release="{release}",{labels}}} {number}"#)
    };
    front.control.switch(release(1, 7, &apps[0])).await.unwrap();
    front.get("/").await;
    front.control.switch(release(2, 7, &apps[1])).await.unwrap();
    front.get("/").await;
    eventually("two of one release", async || lines(&front, "requests_total").await == [counted(7, 2)]).await;
    front.control.switch(release(3, 8, &apps[0])).await.unwrap();
    front.get("/").await;
    let both = [counted(7, 2), counted(8, 1)];
    eventually("one of the other", async || lines(&front, "requests_total").await == both).await;
    assert_eq!(lines(&front, "release").await, [r#"release{service="1/production/default"} 8"#]);
}

#[tokio::test]
async fn health_connections_and_what_runs_are_there() {
    let app = Backend::start("app").await;
    let front = counting().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let healthy = |value: u8| vec![format!(r#"target_healthy{{service="1/production/default",target="app"}} {value}"#)];
    assert_eq!(lines(&front, "target_healthy").await, healthy(1));
    app.set_healthy(false);
    eventually("it is ill", async || lines(&front, "target_healthy").await == healthy(0)).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(front.http()).await;
        client.get(HOST, "/").await.unwrap();
        clients.push(client);
    }
    assert_eq!(lines(&front, "connections ").await, ["connections 3"]);
    let build = format!(r#"build_info{{version="{}"}} 1"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(lines(&front, "build_info").await, [build]);
    assert_eq!(lines(&front, "start_time_seconds").await.len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_is_counted() {
    let app = Backend::start("app").await;
    let front = counting().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let asked = tokio::spawn(async move { client.send(client::get(HOST, "/slow")).await.map(drop) });
    eventually("the app is asked", async || app.hits() == 1).await;
    asked.abort();
    let labels = r#"service="1/production/default",release="1",host="shop.test",path="/",status="none""#;
    let gone = [format!("requests_total{{{labels}}} 1")];
    eventually("it is counted", async || lines(&front, "requests_total").await == gone).await;
}

#[tokio::test]
async fn nothing_else_is_told_there() {
    let front = counting().await;
    let address = front.gateway.metrics_addr().unwrap();
    assert_eq!(client::fetch(address, "metrics", "/").await.0, 404);
    assert_eq!(client::fetch(front.http(), "metrics", "/metrics").await.0, 404, "not where clients are");
}
