//! The gateway beside nginx, HAProxy and Caddy, each on one core, with the app and the load on the other: plain, by TLS and
//! over HTTP/2, all in one run and in turns. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "nobody reads these files while they are written")]

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use windlass_core::gateway::{
    AppProtocol, Certificate, Hold, Probe, Route, ServiceKey, ServiceSpec, SetCertificates, Switch, Target,
};
use windlass_core::names::{Generation, ReleaseNumber};
use windlass_core::quantity::Duration as Span;
use windlass_gateway::{Gateway, GatewayOptions};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools");
const HOST: &str = "localhost";
const CONNECTIONS: &str = "64";
const SMALL: &str = "/small";
const LARGE: &str = "/large.bin";
const UPLOADED: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, http, https, folder] = &arguments[..]
        && role == "gateway"
    {
        return serve(http.parse().unwrap(), https.parse().unwrap(), Path::new(folder));
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    Bench::new(seconds).run();
}

/// The gateway's own process, with one thread.
#[tokio::main(flavor = "current_thread")]
async fn serve(http: SocketAddr, https: SocketAddr, folder: &Path) {
    let options = GatewayOptions::new(http, folder.join("gateway.sock"), folder.join("gateway.json"));
    let _gateway = Gateway::start(GatewayOptions { https: Some(https), ..options }).await.unwrap();
    std::future::pending::<()>().await;
}

struct Bench {
    folder: TempDir,
    seconds: u32,
    app: SocketAddr,
    proxies: Vec<Proxy>,
    _app: Running,
}

struct Proxy {
    name: &'static str,
    http: SocketAddr,
    https: SocketAddr,
    process: Running,
}

/// Ends with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bench {
    fn new(seconds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        write("cert.pem", chain.as_bytes());
        write("key.pem", key.as_bytes());
        write("both.pem", format!("{chain}{key}").as_bytes());
        write("large.bin", &vec![b'x'; 100 * 1024]);
        write("upload.lua", format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {UPLOADED})\n").as_bytes());
        write("close.lua", b"wrk.headers[\"Connection\"] = \"close\"\n");
        let app = free();
        let running = start(folder.path(), 1, "nginx", &nginx_app(folder.path(), app), app);
        let mut bench = Self { folder, seconds, app, proxies: Vec::new(), _app: running };
        for (name, config) in [("nginx", nginx as Configure), ("HAProxy", haproxy), ("Caddy", caddy)] {
            let (http, https) = (free(), free());
            let config = config(bench.folder.path(), app, http, https);
            let process = start(bench.folder.path(), 0, name, &config, http);
            bench.proxies.push(Proxy { name, http, https, process });
        }
        bench.proxies.push(bench.windlass(chain, key));
        bench
    }

    fn windlass(&self, chain: String, key: String) -> Proxy {
        let (http, https) = (free(), free());
        let folder = self.folder.path().join("windlass");
        fs::create_dir(&folder).unwrap();
        let program = std::env::current_exe().unwrap();
        let arguments = ["gateway", &http.to_string(), &https.to_string(), folder.to_str().unwrap()];
        let process = pinned(0, &program).args(arguments).spawn().unwrap();
        let process = Running(process);
        wait_for(http);
        let certificates = vec![Certificate { names: vec![HOST.to_owned(), "*".to_owned()], chain, key }];
        let named = |host| Route { https: true, ..Route::new(host, "/named") };
        let service = ServiceSpec {
            key: ServiceKey("1/production/default".to_owned()),
            generation: Generation(1),
            release: ReleaseNumber(1),
            // What is asked for is plain under any name; other paths are https, so that there is a certificate.
            routes: vec![Route::new("*", "/"), named("*"), named(HOST)],
            targets: vec![Target { name: "app".to_owned(), address: self.app }],
            probe: Probe { path: None, interval: Span::from_secs(10), timeout: Span::from_secs(5) },
            drain: Span::from_secs(1),
            hold: Hold { requests: 1, time: Span::from_secs(1) },
            https: false,
            protocol: AppProtocol::Http1,
            hsts: None,
            pages: std::collections::BTreeMap::new(),
        };
        tell(&folder, "/v1/certificates", &serde_json::to_vec(&SetCertificates { certificates }).unwrap());
        let switch = Switch { service, deadline: Span::from_secs(10), unchecked: true };
        tell(&folder, "/v1/switch", &serde_json::to_vec(&switch).unwrap());
        Proxy { name: "Windlass", http, https, process }
    }

    fn run(&self) {
        println!("one core, {CONNECTIONS} connections, {} s each, in turns; the app alone first", self.seconds);
        println!("{:<34}{:>12}{}", "", "direct", self.names());
        let file = |name: &str| self.folder.path().join(name);
        self.row("small, keep-alive, /s", |it| self.wrk(format!("http://{it}{SMALL}"), None), Some(self.app), false);
        self.row("100 KB, /s", |it| self.wrk(format!("http://{it}{LARGE}"), None), Some(self.app), false);
        let upload = file("upload.lua");
        self.row(
            "1 MB uploads, /s",
            |it| self.wrk(format!("http://{it}{SMALL}"), Some(&upload)),
            Some(self.app),
            false,
        );
        let close = file("close.lua");
        self.row(
            "new connections, /s",
            |it| self.wrk(format!("http://{it}{SMALL}"), Some(&close)),
            Some(self.app),
            false,
        );
        self.row(
            "TLS: small, keep-alive, /s",
            |it| self.wrk(format!("https://{}{SMALL}", named(it)), None),
            None,
            true,
        );
        self.row("TLS: 100 KB, /s", |it| self.wrk(format!("https://{}{LARGE}", named(it)), None), None, true);
        self.row("TLS: new handshakes, /s", |it| self.handshakes(it, "-new"), None, true);
        self.row("TLS: resumed, /s", |it| self.handshakes(it, "-reuse"), None, true);
        self.row("HTTP/2: small, 16 at a time, /s", |it| self.h2load(it, SMALL), None, true);
        self.row("HTTP/2: 100 KB, /s", |it| self.h2load(it, LARGE), None, true);
        let memory: String = self.proxies.iter().fold(String::new(), |mut line, proxy| {
            let _ = write!(line, "{:>12}", resident(proxy.process.0.id()) / 1024);
            line
        });
        println!("{:<34}{:>12}{memory}", "memory afterwards, MB", "");
    }

    fn names(&self) -> String {
        self.proxies.iter().map(|proxy| format!("{:>12}", proxy.name)).collect()
    }

    fn row(&self, what: &str, measure: impl Fn(SocketAddr) -> f64, direct: Option<SocketAddr>, tls: bool) {
        let direct = direct.map_or_else(String::new, |app| format!("{:.0}", measure(app)));
        let of_all = self.proxies.iter().map(|proxy| measure(if tls { proxy.https } else { proxy.http }));
        let all: String = of_all.map(|rate| format!("{rate:>12.0}")).collect();
        println!("{what:<34}{direct:>12}{all}");
    }

    fn wrk(&self, url: String, script: Option<&Path>) -> f64 {
        let mut command = tool(1, "usr/bin/wrk");
        command.args(["-t1", "-c", CONNECTIONS, "-d", &format!("{}s", self.seconds), "--timeout", "10s"]);
        command.args(script.iter().flat_map(|script| [Path::new("-s"), script])).arg(url);
        let printed = output(command);
        number_after(&printed, "Requests/sec:")
    }

    fn h2load(&self, address: SocketAddr, path: &str) -> f64 {
        let mut command = tool(1, "usr/bin/h2load");
        command.args(["-t1", "-c8", "-m16", "-D", &self.seconds.to_string()]);
        command.arg(format!("https://{}{path}", named(address)));
        let printed = output(command);
        let finished =
            printed.lines().find(|line| line.starts_with("finished in")).unwrap_or_else(|| panic!("{printed}"));
        finished.split(", ").nth(1).and_then(|rate| rate.split(' ').next()?.parse().ok()).unwrap()
    }

    /// As `openssl s_time` counts them: on one core, one after another.
    fn handshakes(&self, address: SocketAddr, kind: &str) -> f64 {
        let mut command = pinned(1, Path::new("openssl"));
        command.args(["s_time", "-connect", &address.to_string(), kind, "-time", &self.seconds.to_string()]);
        command.args(["-tls1_3"]);
        let printed = output(command);
        let line = printed.lines().find(|line| line.contains("connections in") && line.contains("real seconds"));
        let line = line.unwrap_or_else(|| panic!("{printed}"));
        let count: f64 = line.split(' ').next().unwrap().parse().unwrap();
        let seconds: f64 = line.split("in ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
        count / seconds
    }
}

type Configure = fn(&Path, SocketAddr, SocketAddr, SocketAddr) -> String;

fn nginx_app(folder: &Path, app: SocketAddr) -> String {
    nginx_around(
        folder,
        "app",
        &format!(
            "access_log off; server {{ listen {app} backlog=4096; root {}; client_max_body_size 0; keepalive_requests 1000000; \
         location = {SMALL} {{ return 200 'hello'; }} }}",
            folder.display()
        ),
    )
}

fn nginx(folder: &Path, app: SocketAddr, http: SocketAddr, https: SocketAddr) -> String {
    let folder_ = folder.display();
    nginx_around(
        folder,
        "proxy",
        &format!(
            "access_log off; upstream app {{ server {app}; keepalive 256; keepalive_requests 1000000; }} \
         server {{ listen {http} backlog=4096; listen {https} ssl http2; client_max_body_size 0; keepalive_requests 1000000; \
         ssl_certificate {folder_}/cert.pem; ssl_certificate_key {folder_}/key.pem; ssl_session_cache shared:s:10m; \
         location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; \
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}"
        ),
    )
}

fn nginx_around(folder: &Path, name: &str, http: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(&path).unwrap();
    let at = path.display();
    format!(
        "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log crit; events {{ worker_connections 8192; }} \
         http {{ client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; \
         scgi_temp_path {at}/s; {http} }}"
    )
}

fn haproxy(folder: &Path, app: SocketAddr, http: SocketAddr, https: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 8192\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n  \
         http-reuse always\n  option forwardfor\nfrontend f\n  bind {http}\n  bind {https} ssl crt {}/both.pem alpn h2,http/1.1\n  \
         default_backend b\nbackend b\n  server s {app} pool-max-conn 256\n",
        folder.display()
    )
}

fn caddy(folder: &Path, app: SocketAddr, http: SocketAddr, https: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://{http} {{\n reverse_proxy {app}\n}}\nhttps://{HOST}:{port} {{\n tls \
         {folder}/cert.pem {folder}/key.pem\n reverse_proxy {app}\n}}\n",
        port = https.port()
    )
}

/// Starts one of them on this core, and waits until it listens.
fn start(folder: &Path, core: usize, name: &str, config: &str, address: SocketAddr) -> Running {
    let file = folder.join(format!("{name}-{}.conf", address.port()));
    fs::write(&file, config).unwrap();
    let mut command = match name {
        "nginx" => {
            let mut command = tool(core, "usr/sbin/nginx");
            command.arg("-c").arg(&file).arg("-e").arg(folder.join("nginx.log"));
            command
        }
        "HAProxy" => {
            let mut command = tool(core, "usr/sbin/haproxy");
            command.arg("-db").arg("-f").arg(&file);
            command
        }
        _ => {
            let mut command = tool(core, "usr/bin/caddy");
            command.env("GOMAXPROCS", "1").env("HOME", folder).env("XDG_DATA_HOME", folder);
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
            command
        }
    };
    let process =
        command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; benches/README.md says where it comes from"));
    let running = Running(process);
    wait_for(address);
    running
}

fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn tool(core: usize, path: &str) -> Command {
    let mut command = pinned(core, &PathBuf::from(TOOLS).join(path));
    command.env("LD_LIBRARY_PATH", format!("{TOOLS}/usr/lib/x86_64-linux-gnu"));
    command
}

fn output(mut command: Command) -> String {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn number_after(printed: &str, words: &str) -> f64 {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix(words));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("{printed}"))
}

/// By name, which its certificate has.
fn named(address: SocketAddr) -> String {
    format!("{HOST}:{}", address.port())
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn wait_for(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing listens at {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tell(folder: &Path, path: &str, body: &[u8]) {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(folder.join("gateway.sock")).unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
}

/// Kilobytes of memory of a process and of those that it started.
fn resident(process: u32) -> u64 {
    let own = |process: u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB").to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default()
    };
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    own(process) + children.split_whitespace().filter_map(|child| child.parse().ok()).map(own).sum::<u64>()
}
