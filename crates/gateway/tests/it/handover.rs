//! One gateway follows another while clients come, stay and do not notice.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use windlass_core::gateway::{Maintenance, SetMaintenance, TargetState};
use windlass_core::quantity::Duration as Span;
use windlass_gateway::{Gateway, GatewayOptions};

use crate::backend::Backend;
use crate::client::{Client, fetch, get};
use crate::harness::{Control, Front, HOST, eventually, options, spec};

/// A gateway and, one by one, its successors, with the same folder and address.
struct Line {
    http: SocketAddr,
    control: Control,
    folder: tempfile::TempDir,
    newest: Option<Gateway>,
}

impl Line {
    async fn begin() -> Self {
        Self::begin_with(2).await
    }

    async fn begin_with(threads: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = GatewayOptions { threads, ..options(folder.path()) };
        let control = Control { path: options.control.clone() };
        let newest = Gateway::start(options).await.unwrap();
        Self { http: newest.http_addr(), control, folder, newest: Some(newest) }
    }

    fn options(&self) -> GatewayOptions {
        GatewayOptions { http: self.http, ..options(self.folder.path()) }
    }

    async fn upgrade(&mut self) -> JoinHandle<()> {
        self.upgrade_to(self.options()).await
    }

    /// The task ends with the one before.
    async fn upgrade_to(&mut self, options: GatewayOptions) -> JoinHandle<()> {
        let newer = Gateway::start(options).await.unwrap();
        let before = self.newest.replace(newer).unwrap();
        tokio::spawn(async move {
            before.handed_over().await;
            before.stop().await;
        })
    }

    async fn web_socket(&self) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(self.http).await.unwrap();
        tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await.unwrap().0
    }
}

async fn echo(socket: &mut WebSocketStream<TcpStream>, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    socket.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

async fn slow_request(http: SocketAddr, backend: &Backend) -> JoinHandle<hyper::Result<(u16, String)>> {
    let before = backend.hits();
    let request = tokio::spawn(async move { Client::connect(http).await.get(HOST, "/slow").await });
    eventually("the request arrives", async || backend.hits() > before).await;
    request
}

#[tokio::test]
async fn a_newer_gateway_takes_over_and_the_one_before_ends_when_it_has_nothing_left() {
    let mut line = Line::begin().await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let slow = slow_request(line.http, &app).await;
    let mut idle = Client::connect(line.http).await;
    assert_eq!(idle.get(HOST, "/").await.unwrap().0, 200);

    let before = line.upgrade().await;
    assert_eq!(fetch(line.http, HOST, "/").await, (200, "app".to_owned()));
    line.control.switch(spec(2, &[&app])).await.unwrap();
    assert!(!before.is_finished(), "it has a request");
    app.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "app".to_owned()));
    let last = idle.send(get(HOST, "/")).await.unwrap();
    assert_eq!((last.status().as_u16(), &last.headers()["connection"]), (200, &"close".parse().unwrap()));
    drop((last, idle));
    tokio::time::timeout(Duration::from_secs(5), before).await.expect("nothing is left").unwrap();
    assert!(
        line.control.path.exists() && line.folder.path().join("gateway.sock.handover").exists(),
        "they are the newer's"
    );
    assert_eq!(line.control.status().await.services[0].generation.0, 2);

    line.newest.take().unwrap().stop().await;
    assert!(!line.control.path.exists() && !line.folder.path().join("gateway.sock.handover").exists());
}

#[tokio::test]
async fn what_a_gateway_still_has_is_cut_when_its_time_is_over() {
    let mut line = Line::begin().await;
    let short = GatewayOptions { handover: Duration::from_millis(300), ..line.options() };
    line.upgrade_to(short).await.await.unwrap();
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let mut socket = line.web_socket().await;
    assert_eq!(echo(&mut socket, "one").await, "one");
    let before = line.upgrade().await;
    assert_eq!(echo(&mut socket, "two").await, "two");
    tokio::time::timeout(Duration::from_secs(5), before).await.expect("its time is over").unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}

#[tokio::test]
async fn a_gateway_that_was_followed_stops_when_it_is_asked_to() {
    let mut line = Line::begin().await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let mut socket = line.web_socket().await;
    assert_eq!(echo(&mut socket, "one").await, "one");
    let newer = Gateway::start(line.options()).await.unwrap();
    let before = line.newest.replace(newer).unwrap();
    eventually("the newer one knows", async || line.control.targets().await[0].in_flight == 1).await;
    tokio::time::timeout(Duration::from_secs(5), before.stop()).await.expect("it waits for no WebSocket");
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    eventually("the newer one knows", async || line.control.targets().await[0].in_flight == 0).await;
    assert_eq!(fetch(line.http, HOST, "/").await, (200, "app".to_owned()));
}

#[tokio::test]
async fn a_target_is_drained_when_no_gateway_before_has_a_web_socket_to_it() {
    let mut line = Line::begin().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    line.control.switch(spec(1, &[&old])).await.unwrap();
    let mut first = line.web_socket().await;
    let _before = [line.upgrade().await];
    let mut second = line.web_socket().await;
    let _before = [line.upgrade().await];
    eventually("both are known", async || line.control.targets().await[0].in_flight == 2).await;

    let next = spec(2, &[&new]);
    line.control.switch(next.clone()).await.unwrap();
    assert_eq!(echo(&mut first, "one").await, "one");
    assert_eq!(echo(&mut second, "one").await, "one");
    let drained = line.control.drained(&next, &["old"]);
    let ends = async {
        drop(first);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(line.control.state_of("old").await, Some(TargetState::Draining), "the other is there");
        drop(second);
    };
    let (drained, ()) = tokio::join!(drained, ends);
    assert_eq!(drained.unwrap().cut, 0);
    assert_eq!(line.control.state_of("old").await, None);
}

#[tokio::test]
async fn the_end_of_a_drain_cuts_what_the_gateways_before_have() {
    let mut line = Line::begin().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    line.control.switch(spec(1, &[&old])).await.unwrap();
    let mut sockets = vec![line.web_socket().await];
    let mut before = vec![line.upgrade().await];
    sockets.push(line.web_socket().await);
    before.push(line.upgrade().await);
    sockets.push(line.web_socket().await);
    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(400);
    line.control.switch(next.clone()).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(echo(socket, "it lives").await, "it lives");
    }
    assert_eq!(line.control.drained(&next, &["old"]).await.unwrap().cut, 3);
    for socket in &mut sockets {
        let end = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("it was cut");
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    }
    for gateway in before {
        tokio::time::timeout(Duration::from_secs(5), gateway).await.expect("it has nothing left").unwrap();
    }
}

#[tokio::test]
async fn a_drain_goes_on_through_an_upgrade_for_the_time_that_is_left() {
    let mut line = Line::begin().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    line.control.switch(spec(1, &[&old])).await.unwrap();
    let slow = [slow_request(line.http, &old).await, slow_request(line.http, &old).await];
    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(1500);
    let begun = Instant::now();
    line.control.switch(next.clone()).await.unwrap();
    let before = line.upgrade().await;
    assert_eq!(line.control.state_of("old").await, Some(TargetState::Draining));
    old.knobs.gate.add_permits(1);
    assert_eq!(line.control.drained(&next, &["old"]).await.unwrap().cut, 1);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1490) && took < Duration::from_secs(4), "{took:?}");
    let mut answers = Vec::new();
    for request in slow {
        answers.push(request.await.unwrap().unwrap().0);
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 502]);
    tokio::time::timeout(Duration::from_secs(5), before).await.expect("it has nothing left").unwrap();
    line.upgrade().await.await.unwrap();
    assert_eq!(line.control.drained(&next, &["old"]).await.unwrap().cut, 1, "for those who ask late too");
}

#[tokio::test]
async fn a_connection_that_the_gateway_before_has_leads_where_the_newer_one_says() {
    let mut line = Line::begin().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    line.control.switch(spec(1, &[&old])).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(line.http).await;
        assert_eq!(client.get(HOST, "/").await.unwrap().1, "old");
        clients.push(client);
    }
    let _before = line.upgrade().await;
    line.control.switch(spec(2, &[&new])).await.unwrap();
    assert_eq!(clients[0].get(HOST, "/").await.unwrap(), (200, "new".to_owned()));
    line.control.switch(spec(3, &[&old])).await.unwrap();
    assert_eq!(clients[1].get(HOST, "/").await.unwrap(), (200, "old".to_owned()), "back again");
    line.control.remove(&spec(4, &[])).await.unwrap();
    assert_eq!(clients[2].get(HOST, "/").await.unwrap().0, 404);
}

#[tokio::test]
async fn a_target_that_fails_its_probes_is_known_to_after_an_upgrade() {
    let mut line = Line::begin().await;
    let (sick, well) = (Backend::start("sick").await, Backend::start("well").await);
    line.control.switch(spec(1, &[&sick, &well])).await.unwrap();
    sick.set_healthy(false);
    eventually("it is noticed", async || line.control.state_of("sick").await == Some(TargetState::Unhealthy)).await;
    let before = sick.hits();
    line.upgrade().await.await.unwrap();
    for _ in 0..20 {
        assert_eq!(fetch(line.http, HOST, "/").await.1, "well");
    }
    assert_eq!(sick.hits(), before);
}

#[tokio::test]
async fn however_many_threads_there_are_every_socket_is_accepted_from() {
    let mut line = Line::begin_with(4).await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    for threads in [1, 3, 6, 2] {
        let options = GatewayOptions { threads, ..line.options() };
        line.upgrade_to(options).await.await.unwrap();
        for _ in 0..100 {
            assert_eq!(fetch(line.http, HOST, "/").await, (200, "app".to_owned()), "{threads}");
        }
    }
}

#[tokio::test]
async fn a_gateway_with_another_address_leaves_the_one_of_before_to_nobody() {
    let mut line = Line::begin().await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let http = ([127, 0, 0, 2], 0).into();
    line.upgrade_to(GatewayOptions { http, ..line.options() }).await.await.unwrap();
    let elsewhere = line.newest.as_ref().unwrap().http_addr();
    assert_eq!(elsewhere.ip(), http.ip());
    assert_eq!(fetch(elsewhere, HOST, "/").await, (200, "app".to_owned()));
    assert!(TcpStream::connect(line.http).await.is_err());
}

/// Comes as a newer gateway would, and says so much of what one says.
async fn newcomer(folder: &Path, words: &[&str]) -> UnixStream {
    let mut door = UnixStream::connect(folder.join("gateway.sock.handover")).await.unwrap();
    for word in words {
        door.write_u32(u32::try_from(word.len()).unwrap()).await.unwrap();
        door.write_all(word.as_bytes()).await.unwrap();
    }
    door
}

const HELLO: &str = r#"{"successor":{"version":"9.9.9"}}"#;

#[tokio::test]
async fn a_newcomer_that_goes_before_it_serves_leaves_everything_as_it_was() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut door = newcomer(front.folder(), &[HELLO]).await;
    let mut offer = vec![0; usize::try_from(door.read_u32().await.unwrap()).unwrap()];
    door.read_exact(&mut offer).await.unwrap();
    assert!(String::from_utf8_lossy(&offer).contains(r#""sockets":["http","http"]"#));

    let next = spec(2, &[&app]);
    let waiting = front.control.switch(next);
    let goes = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The last thing before it would have served.
        std::fs::remove_file(&front.control.path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&front.control.path).unwrap());
        assert_eq!(front.get("/").await.0, 200);
        drop(door);
    };
    let (switched, ()) = tokio::join!(waiting, goes);
    switched.expect("it waited for what becomes of the newcomer");
    eventually("the control socket is back", async || UnixStream::connect(&front.control.path).await.is_ok()).await;
    assert_eq!(front.control.status().await.services[0].generation.0, 2);
    let folder = front.stop().await;
    assert!(!folder.path().join("gateway.sock").exists());
}

#[tokio::test]
async fn strangers_at_the_door_change_nothing() {
    let front = Front::start().await;
    for words in [&["{}"][..], &["nonsense"], &[HELLO, "\"yours\""], &[HELLO, "{}"], &[]] {
        drop(newcomer(front.folder(), words).await);
    }
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    assert_eq!(front.get("/").await.0, 200);
}

#[tokio::test]
async fn of_newcomers_that_come_at_once_each_follows_another() {
    let line = Line::begin().await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let started = futures_util::future::join_all((0..3).map(|_| Gateway::start(line.options()))).await;
    let mut gateways: Vec<Gateway> = started.into_iter().map(Result::unwrap).chain(line.newest).collect();
    assert_eq!(fetch(line.http, HOST, "/").await.0, 200);
    let mut ended = 0;
    while gateways.len() > 1 {
        let ends = gateways.iter().map(|gateway| Box::pin(gateway.handed_over()));
        let ((), place, _) = futures_util::future::select_all(ends).await;
        gateways.remove(place).stop().await;
        ended += 1;
    }
    assert_eq!(ended, 3);
    assert_eq!(fetch(line.http, HOST, "/").await.0, 200);
    assert_eq!(line.control.status().await.services.len(), 1);
}

#[tokio::test]
async fn an_event_stream_and_an_upload_go_on_through_upgrades() {
    let mut line = Line::begin().await;
    let app = Backend::start("app").await;
    line.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(line.http).await;
    let mut events = client.send(get(HOST, "/events")).await.unwrap();
    let mut upload = TcpStream::connect(line.http).await.unwrap();
    let head = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 6\r\n\r\n");
    upload.write_all(head.as_bytes()).await.unwrap();
    for piece in ["ab", "cd", "ef"] {
        let _before = line.upgrade().await;
        upload.write_all(piece.as_bytes()).await.unwrap();
        app.knobs.events.send("data: x\n\n").unwrap();
        assert_eq!(events.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: x\n\n");
    }
    let mut answer = String::new();
    upload.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n6"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_the_gateway_before_has_is_told_of_maintenance_too() {
    let mut line = Line::begin().await;
    let app = Backend::start("app").await;
    let service = spec(1, &[&app]);
    line.control.switch(service.clone()).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(line.http).await;
        assert_eq!(client.get(HOST, "/").await.unwrap().0, 200);
        clients.push(client);
    }
    let _before = line.upgrade().await;
    for (number, maintenance, status) in [(1, Some(Maintenance::default()), 503), (2, None, 200)] {
        let request = SetMaintenance { key: service.key.clone(), number, maintenance };
        line.control.send("POST", "/v1/maintenance", &request).await.unwrap();
        assert_eq!(clients.pop().unwrap().get(HOST, "/").await.unwrap().0, status);
    }
}
