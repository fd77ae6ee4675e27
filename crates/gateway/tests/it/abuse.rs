//! Clients that mean harm: what they cost is bounded, and others are served meanwhile. The gateway has a process of its own
//! here, so that its memory can be told from the clients'. `WINDLASS_ABUSE=full` makes it as many as somebody would, and
//! says what was measured.

mod floods;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use windlass_core::gateway::{Route, ServiceSpec};
use windlass_gateway::GatewayOptions;

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Control, Front, HOST, options, route, spec};

const FOLDER: &str = "WINDLASS_ABUSED_FOLDER";

/// A gateway in another process.
struct Apart {
    child: Child,
    http: SocketAddr,
    https: SocketAddr,
    app: Backend,
    _folder: tempfile::TempDir,
}

/// The other process. It ends with its standard input.
#[tokio::test]
#[ignore = "is started by the tests beside it"]
async fn a_gateway_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let options = GatewayOptions { https: Some(([127, 0, 0, 1], 0).into()), ..options(&folder) };
    let front = Front::start_with(options, tempfile::tempdir().unwrap()).await;
    println!("\nserves {} {}", front.http(), front.gateway.https_addr().unwrap());
    tokio::io::stdin().read_to_end(&mut Vec::new()).await.unwrap();
}

impl Apart {
    /// With no more open files than this.
    async fn start(files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"]).arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "abuse::a_gateway_of_its_own"]).env(FOLDER, folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (http, https) = loop {
            let line = lines.next_line().await.unwrap().expect("it serves");
            if let Some((http, https)) = line.strip_prefix("serves ").and_then(|ports| ports.split_once(' ')) {
                break (http.parse().unwrap(), https.parse().unwrap());
            }
        };
        // It goes on speaking for as long as it is listened to.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let app = Backend::start("app").await;
        let routes = vec![route(HOST, "/"), Route { https: true, ..route("localhost", "/") }];
        let control = Control { path: folder.path().join("gateway.sock") };
        control.switch(ServiceSpec { routes, ..spec(1, &[&app]) }).await.unwrap();
        Self { child, http, https, app, _folder: folder }
    }

    /// What it has of the machine's memory, in kB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time it has used, in ticks of 10 ms.
    fn processor_time(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().unwrap())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// A connection that has been answered once.
    async fn asked_once(&self, connector: Option<&TlsConnector>) -> Box<dyn Send> {
        let ask = |host: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let mut status = [0; 12];
        if let Some(connector) = connector {
            let stream = TcpStream::connect(self.https).await.unwrap();
            let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
            stream.write_all(ask("localhost").as_bytes()).await.unwrap();
            stream.read_exact(&mut status).await.unwrap();
            return Box::new(stream);
        }
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(ask(HOST).as_bytes()).await.unwrap();
        stream.read_exact(&mut status).await.unwrap();
        Box::new(stream)
    }

    /// Asks so many times on a connection of its own, all of which succeed. Gives the 99th percentile.
    async fn ask(&self, times: usize) -> Duration {
        let mut client = Client::connect(self.http).await;
        let mut took = Vec::new();
        for _ in 0..times {
            let begun = Instant::now();
            assert_eq!(client.get(HOST, "/").await.unwrap(), (200, "app".to_owned()));
            took.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.sort_unstable();
        took[times * 99 / 100]
    }
}

fn is_full() -> bool {
    std::env::var_os("WINDLASS_ABUSE").is_some_and(|it| it == "full")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_costs_bounded_memory_and_others_are_served() {
    let (clients, asked) = if is_full() { (2000, 2000) } else { (100, 100) };
    let mut wrong = Vec::new();
    for flood in floods::ALL {
        let gateway = Apart::start(20_000).await;
        gateway.ask(asked / 10).await;
        let (usual, before) = (gateway.ask(asked).await, gateway.memory());
        let held = flood.begin(&gateway, clients).await;
        let meanwhile = gateway.ask(asked).await;
        let grown = gateway.memory().saturating_sub(before);
        if is_full() {
            println!("{flood:?}: {grown} kB more than {before}, p99 {usual:?} and then {meanwhile:?}");
        }
        if grown > flood.most_memory(clients) {
            wrong.push(format!("{flood:?}: {grown} kB"));
        }
        drop(held);
        gateway.ask(10).await;
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn a_gateway_out_of_files_waits_and_does_not_spin_and_serves_when_there_are_some() {
    // 64 of them are its own, and each connection may need two.
    let gateway = Apart::start(128).await;
    gateway.ask(1).await;
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(TcpStream::connect(gateway.http).await.unwrap());
    }
    let busy: Vec<_> = (0..10).map(|_| tokio::spawn(crate::client::fetch(gateway.http, HOST, "/slow"))).collect();
    // They are all at work: nobody can be sent away for those behind.
    crate::harness::eventually("all are at work", async || gateway.app.hits() >= 11).await;
    let before = gateway.processor_time();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let used = gateway.processor_time() - before;
    assert!(used < 25, "{used} ticks in half a second");
    gateway.app.knobs.gate.add_permits(10);
    for request in busy {
        assert_eq!(request.await.unwrap(), (200, "app".to_owned()));
    }
    drop(waiting);
    gateway.ask(10).await;
}

/// Each has asked once. What one needs for a request is the next ones' when it has had nothing to ask for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_cost_little() {
    let (rounds, connections) = if is_full() { (10, 500) } else { (2, 300) };
    for secure in [false, true] {
        let gateway = Apart::start(20_000).await;
        gateway.ask(100).await;
        let connector = floods::connector();
        let mut idle: Vec<Box<dyn Send>> = Vec::new();
        let (begun, mut before) = (gateway.memory(), 0);
        for _ in 0..rounds {
            before = gateway.memory();
            for _ in 0..connections {
                idle.push(gateway.asked_once(secure.then_some(&connector)).await);
            }
            // Nobody outside sees that they rest.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let each = gateway.memory().saturating_sub(before) / connections;
        if is_full() {
            println!("{} idle, by TLS {secure}: {begun} kB and then {} kB", idle.len(), gateway.memory());
        }
        assert!(each < if secure { 24 } else { 12 }, "by TLS {secure}: {each} kB each");
    }
}
