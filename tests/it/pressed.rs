//! Both servers with few files, and clients that hold what they can get; and a gateway that stops under many WebSockets.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use windlass_core::gateway::{AppProtocol, Hold, Probe, Route, ServiceKey, ServiceSpec, Switch, Target};
use windlass_core::names::{Generation, ReleaseNumber};
use windlass_core::quantity::Duration as Span;
use windlass_engine::GatewayClient;

use crate::world::{HOST, PATIENCE, World};

/// More than twice as many as a process with 256 files takes.
const HALF_HEADS: usize = 300;
/// Two files each, here and in the gateway, of 1,024.
const WEB_SOCKETS: usize = 150;
/// Half of what a head may take: whoever waits for longer waits until half heads end by themselves.
const BEFORE_HEADS_END: Duration = Duration::from_secs(5);
/// Less than a gateway gives to requests under way.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn half_heads_at_few_files_keep_nobody_from_the_service_nor_from_the_gateway() {
    let mut world = World::start().await;
    world.kill_service().await;
    world.kill_gateway().await;
    world.open_files = Some(256);
    world.start_gateway().await;
    world.start_service().await;
    for (address, log, path, answer) in [
        (world.gateway_address, "gateway.log", "/", "HTTP/1.1 404"),
        (world.service_address, "serve.log", "/healthz", "HTTP/1.1 200"),
    ] {
        let mut held = Vec::new();
        for _ in 0..HALF_HEADS {
            let Ok(Ok(mut half)) = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await else { break };
            let _ = half.write_all(b"GET / HTTP/1.1\r\nhost: shop.example.com\r\nx-slow: ").await;
            held.push(half);
        }
        for _ in 0..3 {
            let honest = tokio::time::timeout(BEFORE_HEADS_END, ask(address, path)).await.expect("an answer");
            assert!(honest.starts_with(answer), "{honest}");
        }
        assert!(held.len() > HALF_HEADS / 2, "the system took {} of them", held.len());
        let log = world.folder.path().join(log);
        let warnings = warnings(&log);
        assert!(warnings <= 3, "{warnings} warnings in {log:?}");
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(!said.contains("cannot be accepted"), "files are left for what else it opens: {said}");
    }
}

#[tokio::test]
async fn a_gateway_that_stops_under_many_web_sockets_makes_way_at_once() {
    let mut world = World::start().await;
    world.kill_service().await;
    let app = app().await;
    switch(&world, app).await;
    let address = world.gateway_address;
    let mut sockets = Vec::new();
    for _ in 0..WEB_SOCKETS {
        sockets.push(web_socket(address).await);
    }

    let asked = Instant::now();
    let mut old = world.ask_gateway_to_stop().await;
    tokio::time::timeout(SOON, old.wait()).await.expect("it waits for no WebSocket").unwrap();
    let ended = asked.elapsed();
    world.start_gateway().await;
    assert!(ask(address, "/").await.ends_with("app"));
    eprintln!("ended after {ended:?}, served again after {:?}", asked.elapsed());
    for mut socket in sockets {
        assert!(matches!(socket.read(&mut [0]).await, Ok(0) | Err(_)), "it has ended");
    }
}

/// One request over a connection of its own; nothing if it was sent away.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn web_socket(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /ws HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let mut rest = [0; 1024];
    let _ = stream.read(&mut rest).await;
    stream
}

/// Says `app`, or changes the protocol and is silent from then on.
async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            clients.spawn(async move {
                let mut head = [0; 4096];
                while let Ok(1..) = stream.read(&mut head).await {
                    let answer: &[u8] = if head.starts_with(b"GET /ws ") {
                        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                    } else {
                        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\napp"
                    };
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn switch(world: &World, app: SocketAddr) {
    let second = Span::from_secs(1);
    let service = ServiceSpec {
        key: ServiceKey("1/production/default".to_owned()),
        generation: Generation(1),
        release: ReleaseNumber(1),
        routes: vec![Route::new(HOST, "/")],
        targets: vec![Target { name: "app".to_owned(), address: app }],
        probe: Probe { path: None, interval: second, timeout: second },
        drain: second,
        hold: Hold { requests: 10, time: second },
        https: false,
        protocol: AppProtocol::Http1,
        hsts: None,
        pages: std::collections::BTreeMap::new(),
    };
    let gateway = GatewayClient::new(world.folder.path().join("gateway.sock"));
    gateway.switch(&Switch { service, deadline: second, unchecked: true }).await.unwrap();
}

fn warnings(log: &Path) -> usize {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains("WARN") || line.contains("\"level\":\"warn")).count()
}
