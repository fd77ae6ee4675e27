//! What HTTP/2 asks of a server, by RFC 9113's sections, as h2spec has it: raw frames in, and the answer or the error that
//! has to come. What is no request does not reach an app.

mod cases;
pub(crate) mod frames;

use std::process::Stdio;

use frames::{Connection, Outcome};
use tokio::io::AsyncReadExt;
use windlass_core::gateway::{Route, Target};
use windlass_gateway::GatewayOptions;

use crate::corpus::{Noting, front_of};
use crate::harness::{Front, options, route, spec};

#[tokio::test]
async fn each_rule_of_http_2_is_kept_and_nothing_that_breaks_one_reaches_an_app() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    let mut wrong = Vec::new();
    for (rule, sent, expected) in cases::all() {
        let mut connection = Connection::open(front.http()).await;
        connection.write(&sent).await;
        let outcome = connection.outcome().await;
        if !expected.contains(&outcome) {
            wrong.push(format!("{rule}: {outcome:?}, not {expected:?}"));
        }
        if matches!(outcome, Outcome::GoAway(_)) && !connection.is_closed().await {
            wrong.push(format!("{rule}: open after an error of the connection"));
        }
        drop(connection);
        front.get("/last").await;
        let notes = app.until_last().await;
        if !notes.is_empty() && !expected.contains(&Outcome::Status(200)) {
            wrong.push(format!("{rule}: the app got {notes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_request_over_http_2_reaches_an_app_as_one_of_http_1_1() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    for (sent, asked, with) in cases::translated() {
        let mut connection = Connection::open(front.http()).await;
        connection.write(&sent).await;
        assert_eq!(connection.outcome().await, Outcome::Status(200), "{asked}");
        front.get("/last").await;
        let notes = app.until_last().await;
        assert_eq!(notes.iter().map(|note| note.asked.as_str()).collect::<Vec<_>>(), [asked]);
        let lines: Vec<&str> = notes[0].head.split("\r\n").collect();
        assert!(with.iter().all(|line| lines.contains(line)), "{lines:?}");
    }
}

/// h2spec is no package of any distribution: it is run where somebody has put it on the PATH. Over TLS, since the plain port
/// answers what is neither HTTP/2 nor HTTP/1.1 in the latter.
#[tokio::test]
#[ignore = "needs h2spec on the PATH"]
async fn h2spec_finds_nothing() {
    let app = Noting::start().await;
    let folder = tempfile::tempdir().unwrap();
    let options = GatewayOptions { https: Some(([127, 0, 0, 1], 0).into()), ..options(folder.path()) };
    let front = Front::start_with(options, folder).await;
    let mut service = spec(1, &[]);
    service.routes = vec![Route { https: true, ..route("localhost", "/") }];
    service.targets = vec![Target { name: "raw".to_owned(), address: app.address }];
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    let port = front.gateway.https_addr().unwrap().port().to_string();
    let mut h2spec = tokio::process::Command::new("h2spec");
    h2spec.args(["--strict", "-t", "-k", "-h", "localhost", "-p", &port]).stdout(Stdio::piped());
    let mut h2spec = h2spec.spawn().unwrap();
    let mut report = String::new();
    h2spec.stdout.take().unwrap().read_to_string(&mut report).await.unwrap();
    assert!(h2spec.wait().await.unwrap().success(), "{report}");
    println!("{report}");
}
