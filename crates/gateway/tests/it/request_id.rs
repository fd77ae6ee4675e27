//! The name that a request bears from its client to the app and back.

use http_body_util::BodyExt;
use hyper::Request;

use crate::backend::Backend;
use crate::client::{Client, nothing};
use crate::harness::{Front, HOST, spec};

/// What the app was told, what the answer bears, and the answer's body.
async fn ask(front: &Front, path: &str, given: &[&str]) -> (Vec<String>, String, String) {
    let mut request = Request::get(path).header("host", HOST);
    if !given.is_empty() {
        request = request.header("connection", "x-request-id");
    }
    for id in given {
        request = request.header("x-request-id", *id);
    }
    let response = Client::connect(front.http()).await.send(request.body(nothing()).unwrap()).await.unwrap();
    let ids: Vec<_> = response.headers().get_all("x-request-id").iter().cloned().collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let told = body.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).map(ToOwned::to_owned).collect();
    (told, ids[0].to_str().unwrap().to_owned(), body)
}

#[tokio::test]
async fn a_request_has_one_name_from_its_client_to_the_app_and_back() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let (told, answered, _) = ask(&front, "/headers", &["req-7/a"]).await;
    assert_eq!((told, answered.as_str()), (vec!["req-7/a".to_owned()], "req-7/a"));
    for given in [&[][..], &["two", "names"], &["no name <at all>"]] {
        let (told, answered, _) = ask(&front, "/headers", given).await;
        assert!(answered.len() == 32 && answered.bytes().all(|byte| byte.is_ascii_hexdigit()), "{answered}");
        assert_eq!(told, [answered]);
    }
}

#[tokio::test]
async fn what_an_app_calls_the_request_itself_stays() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    assert_eq!(ask(&front, "/named", &["mine"]).await.1, "the-apps-own");
}

#[tokio::test]
async fn our_own_answers_say_which_request_they_are_about() {
    let front = Front::start().await;
    let (_, answered, body) = ask(&front, "/", &[]).await;
    assert_eq!(body, format!("Nothing is deployed at this address.\nRequest {answered}\n"));
}
