//! What the control client makes of a gateway that misbehaves. A well-behaved one is in `execute.rs`.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use windlass_core::gateway::{Discard, ServiceKey};
use windlass_core::hint::Hint;
use windlass_core::names::Generation;
use windlass_engine::{GatewayClient, GatewayError};

/// Gives everyone who connects this answer.
fn answering(folder: &Path, status: &str, body: &str) -> PathBuf {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let answer = format!("HTTP/1.1 {status}\r\n{length}\r\n{body}");
    let path = folder.join("gateway.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    path
}

async fn discard(path: PathBuf) -> Result<(), GatewayError> {
    let request = Discard { key: ServiceKey("7/production/default".to_owned()), generation: Generation(3) };
    GatewayClient::new(path).discard(&request).await
}

#[tokio::test]
async fn no_content_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    discard(answering(folder.path(), "204 No Content", "")).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_the_gateways_own_problem() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"status":409,"code":"older_generation","title":"Newer","hint":"Look again"}"#;
    let error = discard(answering(folder.path(), "409 Conflict", body)).await.unwrap_err();
    let GatewayError::Refused(problem) = &error else { panic!("{error}") };
    assert_eq!((problem.status, problem.code.as_str()), (409, "older_generation"));
    assert_eq!(error.hint().as_deref(), Some("Look again"));
}

#[tokio::test]
async fn what_is_not_a_gateways_answer_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let error = discard(answering(folder.path(), "500 Oops", "oops")).await.unwrap_err();
    assert!(matches!(error, GatewayError::Garbled { .. }), "{error}");
    assert!(error.to_string().contains("HTTP 500"), "{error}");
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let error = GatewayClient::new(path.clone()).status().await.unwrap_err();
    assert!(matches!(error, GatewayError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(error.hint().unwrap().contains("windlass gateway"));
}

/// Gives those who connect these answers, one each. Nothing is no answer.
fn answering_in_turn(folder: &Path, answers: &'static [&'static str]) -> PathBuf {
    let path = folder.join("gateway.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    path
}

#[tokio::test]
async fn a_gateway_that_stops_or_hangs_up_is_asked_again_and_its_successor_answers() {
    const STOPPING: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 43\r\n\r\n\
         {\"status\":503,\"code\":\"stopping\",\"title\":\"\"}";
    let folder = tempfile::tempdir().unwrap();
    discard(answering_in_turn(folder.path(), &[STOPPING, "", "", "HTTP/1.1 204 Done\r\n\r\n"])).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_hangs_up_again_and_again_is_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let error = discard(answering_in_turn(folder.path(), &["", "", "", ""])).await.unwrap_err();
    assert!(matches!(error, GatewayError::Unreachable { .. }), "{error}");
}
