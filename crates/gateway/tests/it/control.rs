use windlass_gateway::{Gateway, GatewayError};

use crate::harness::{Front, options, route, spec};

#[tokio::test]
async fn a_live_gateways_socket_is_not_taken() {
    let front = Front::start().await;
    let refused = Gateway::start(options(front.folder())).await.unwrap_err();
    assert!(matches!(refused, GatewayError::ControlInUse { .. }), "{refused}");
    assert!(refused.to_string().contains("gateway.sock"), "{refused}");
    front.control.status().await;
}

#[tokio::test]
async fn a_dead_gateways_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and dropped without being removed, as a killed process leaves it.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("gateway.sock")).unwrap());
    let front = Front::start_in(folder).await;
    assert!(front.control.status().await.services.is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.http = taken.local_addr().unwrap();
    let refused = Gateway::start(options).await.unwrap_err();
    assert!(matches!(refused, GatewayError::Listen { .. }));
    assert!(refused.to_string().contains(&taken.local_addr().unwrap().to_string()), "{refused}");
    assert!(!folder.path().join("gateway.sock").exists(), "nothing is left behind");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_a_reason() {
    let front = Front::start().await;
    let problem = front.control.send("POST", "/v1/switch", &"what?").await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_request"));
    let problem = front.control.send("GET", "/v1/switch", &()).await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (404, "not_found"));
    let mut wrong = spec(1, &[]);
    wrong.routes.push(route("", "api"));
    let problem = front.control.switch(wrong).await.unwrap_err();
    assert_eq!((problem.status, problem.errors.len()), (422, 2));
}
