//! How many deliveries a second are verified, stored and answered, beside Debian's `webhook`, which verifies and answers,
//! and beside floors, all in one run. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a measurement that cannot go on has failed")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/world.rs"]
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::process::Command;
use windlass_testing::github::sign;
use windlass_testing::{fixture, free_address};

use world::{PATIENCE, WEBHOOK_SECRET, World, write, write_bytes};

/// Where the Debian packages were unpacked.
const TOOLS: &str = "target/tools/usr";
const CONNECTIONS: &str = "64";
const SECONDS: u64 = 20;
const BODY: usize = 8800;

/// A push to this branch is deployed.
const DEPLOYED: &str = "release";
/// One to this branch is not.
const IGNORED: &str = "somebody-elses";

const STAGE: &str = r#"
[projects."acme/shop".stages.preview]
branch = "release"
deploy-on = ["push"]
"#;

#[tokio::main]
async fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(SECONDS);
    let world = World::start_with(STAGE).await;
    let bench = Bench { folder: world.folder.path().to_owned(), seconds };
    let repository = world.repository.id();
    let (ignored, deployed) = (push(repository, IGNORED), push(repository, DEPLOYED));
    // Its last byte is missing: verified and read to the end like any other, and then refused.
    let broken = ignored[..ignored.len() - 1].to_vec();

    println!("{CONNECTIONS} connections, {seconds} s each, a push of {} bytes", ignored.len());
    println!(
        "                                              per second   p50 ms   p99 ms   MB before   MB after   answers"
    );
    let sink = sink().await;
    bench.run("the load generator: read and answered", sink, "/", &ignored, None).await;

    let debian = Debian::start(&bench.folder).await;
    bench.run("Debian's webhook, filtered out", debian.address, "/hooks/push", &ignored, debian.pid).await;
    bench.run("Debian's webhook, runs /bin/true", debian.address, "/hooks/push", &deployed, debian.pid).await;
    drop(debian);

    let (ours, pid) = (world.service_address, service_of(&world));
    bench.run("windlass without the store (400)", ours, "/webhooks/github", &broken, pid).await;
    bench.run("windlass, filtered out, stored", ours, "/webhooks/github", &ignored, pid).await;
    bench.run("windlass, to be worked on, stored", ours, "/webhooks/github", &deployed, pid).await;
}

struct Bench {
    folder: PathBuf,
    seconds: u64,
}

impl Bench {
    async fn run(&self, what: &str, address: SocketAddr, path: &str, body: &[u8], process: Option<u32>) {
        let (file, signature) = (self.folder.join("bench-body.json"), self.folder.join("bench-signature"));
        write_bytes(&file, body);
        write(&signature, &format!("sha256={}", sign(WEBHOOK_SECRET, body)));
        let before = process.map(resident);
        let output = Command::new(format!("{TOOLS}/bin/wrk"))
            .env("LD_LIBRARY_PATH", format!("{TOOLS}/lib/x86_64-linux-gnu"))
            .args(["-t1", "-c", CONNECTIONS, "-d", &format!("{}s", self.seconds), "--timeout", "10s"])
            .args(["-s", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/deliveries.lua")])
            .arg(format!("http://{address}{path}"))
            .arg("--")
            .args([&file, &signature])
            // Another for each measurement, so that no GUID comes twice.
            .arg(what.bytes().map(u32::from).sum::<u32>().to_string())
            .output()
            .await
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let result = printed.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.unwrap_or_else(|| panic!("{printed}\n{}", String::from_utf8_lossy(&output.stderr)));
        let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().unwrap()).collect();
        let [requests, microseconds, p50, p99, refused, broken] = numbers[..] else { panic!("{result}") };
        let megabytes = |kilobytes: Option<u64>| kilobytes.map_or("-".to_owned(), |kb| (kb / 1024).to_string());
        println!(
            "{what:<45} {:>10.0} {:>8.1} {:>8.1} {:>11} {:>10}   {:.0} 2xx, {refused} other, {broken} none",
            requests / (microseconds / 1e6),
            p50 / 1e3,
            p99 / 1e3,
            megabytes(before),
            megabytes(process.map(resident)),
            requests - refused,
        );
    }
}

/// A push as GitHub tells it, of the length that most of them have.
fn push(repository: u64, branch: &str) -> Vec<u8> {
    let mut push: serde_json::Value = serde_json::from_slice(&fixture("webhook/push.json")).unwrap();
    push["ref"] = format!("refs/heads/{branch}").into();
    push["repository"]["id"] = repository.into();
    let missing = BODY.saturating_sub(push.to_string().len());
    let message = push["head_commit"]["message"].as_str().unwrap_or_default().to_owned();
    push["head_commit"]["message"] = format!("{message}{}", "x".repeat(missing)).into();
    push.to_string().into_bytes()
}

/// Reads what comes and answers: no server can take more than it from this load generator.
async fn sink() -> SocketAddr {
    let router = axum::Router::new().route("/", post(|_: Bytes| std::future::ready(StatusCode::ACCEPTED)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Debian's package `webhook`, with the same secret, filter and branch.
struct Debian {
    address: SocketAddr,
    pid: Option<u32>,
    _process: tokio::process::Child,
}

impl Debian {
    async fn start(folder: &Path) -> Self {
        let hooks = serde_json::json!([{
            "id": "push",
            "execute-command": "/bin/true",
            "trigger-rule": { "and": [
                { "match": {
                    "type": "payload-hmac-sha256",
                    "secret": WEBHOOK_SECRET,
                    "parameter": { "source": "header", "name": "X-Hub-Signature-256" }
                } },
                { "match": {
                    "type": "value",
                    "value": format!("refs/heads/{DEPLOYED}"),
                    "parameter": { "source": "payload", "name": "ref" }
                } }
            ] }
        }]);
        let file = folder.join("hooks.json");
        write(&file, &hooks.to_string());
        let address = free_address();
        let process = Command::new(format!("{TOOLS}/bin/webhook"))
            .arg("-hooks")
            .arg(&file)
            .args(["-ip", "127.0.0.1", "-port", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{TOOLS}/bin/webhook: {error}; benches/README.md says where it comes from"));
        let answers = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answers).await.unwrap();
        Self { address, pid: process.id(), _process: process }
    }
}

/// The service is the process that was started with the world's configuration.
fn service_of(world: &World) -> Option<u32> {
    let config = world.path("windlass-server.toml");
    let arguments = format!("serve\0--config\0{}", config.display());
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut started_so = processes.filter(|process: &u32| {
        std::fs::read_to_string(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.contains(&arguments))
    });
    started_so.next()
}

/// Kilobytes of memory that a process has.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
