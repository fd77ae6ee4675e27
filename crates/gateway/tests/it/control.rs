use windlass_gateway::{Gateway, GatewayError, GatewayOptions};

use crate::harness::{Front, options, route, spec};

#[tokio::test]
async fn the_socket_of_a_live_gateway_that_does_not_hand_over_is_not_taken() {
    let front = Front::start().await;
    std::fs::remove_file(front.folder().join("gateway.sock.handover")).unwrap();
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
    assert!(matches!(refused, GatewayError::AddressInUse { .. }));
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

#[tokio::test]
async fn a_port_has_one_gateway_whatever_its_control_socket_is() {
    let front = Front::start().await;
    let port = front.http().port();
    let elsewhere = tempfile::tempdir().unwrap();
    for address in [[127, 0, 0, 1], [0, 0, 0, 0]] {
        let mut second = options(elsewhere.path());
        second.http = (address, port).into();
        let refused = Gateway::start(second).await.unwrap_err();
        assert!(matches!(refused, GatewayError::AddressInUse { .. }), "{refused}");
        assert!(refused.to_string().contains("perhaps another gateway"), "{refused}");
        assert!(!elsewhere.path().join("gateway.sock").exists(), "nothing is left behind");
    }
    for _ in 0..20 {
        assert_eq!(front.get("/").await.0, 404);
    }
    let mut neighbour = options(elsewhere.path());
    neighbour.http = ([127, 0, 0, 2], port).into();
    Gateway::start(neighbour).await.expect("another address is another place").stop().await;
    drop(front.stop().await);
    let mut next = options(elsewhere.path());
    next.http = ([0, 0, 0, 0], port).into();
    let next = Front::start_with(next, elsewhere).await;
    let refused =
        Gateway::start(GatewayOptions { http: ([127, 0, 0, 1], port).into(), ..options(&next.folder().join("x")) });
    assert!(matches!(refused.await, Err(GatewayError::AddressInUse { .. })), "a part of every address");
}

#[tokio::test]
async fn of_many_that_start_at_once_one_has_the_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folders: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let starts = folders.iter().map(|folder| Gateway::start(GatewayOptions { http: free, ..options(folder.path()) }));
    let started = futures_util::future::join_all(starts).await;
    let refused = started.iter().filter(|it| matches!(it, Err(GatewayError::AddressInUse { .. }))).count();
    assert_eq!((started.iter().filter(|it| it.is_ok()).count(), refused), (1, 5));
}
