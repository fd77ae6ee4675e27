//! Gateways of one host, one after the other, as processes or as containers.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use windlass_core::gateway::{AppProtocol, Hold, Probe, Route, ServiceKey, ServiceSpec, Switch, Switched, Target};
use windlass_core::names::{Generation, ReleaseNumber};
use windlass_core::quantity::Duration as Span;
use windlass_engine::{GatewayClient, GatewayError};
use windlass_testing::free_address;

use crate::world::{HOST, PATIENCE, write};

/// The same app by https, with a certificate that the gateway signs itself.
pub(super) const SECURE_HOST: &str = "secure.example.com";

pub(super) struct Host {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) control: GatewayClient,
    pub(super) folder: TempDir,
    generation: u64,
}

impl Host {
    pub(super) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-test-").tempdir().unwrap();
        let (http, https) = (free_address(), free_address());
        let control = GatewayClient::new(folder.path().join("gateway.sock"));
        let host = Self { http, https, control, folder, generation: 0 };
        write(&host.config(), &host.server_file("data"));
        host
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("windlass-server.toml")
    }

    /// With another data folder, perhaps.
    pub(super) fn server_file(&self, data: &str) -> String {
        let (folder, http, https) = (self.folder.path().display(), self.http, self.https);
        format!(
            "schema = 1\nlisten = \"127.0.0.1:1\"\npublic-url = \"http://127.0.0.1:1\"\ndata = \"{folder}/{data}\"\n\
             [github]\ntoken = {{ file = \"{folder}/token\" }}\nwebhook-secrets = [{{ file = \"{folder}/secret\" }}]\n\
             [hosts.a]\ndocker = \"unix:///var/run/docker.sock\"\n\
             gateway = {{ http = \"{http}\", https = \"{https}\", control = \"{folder}/gateway.sock\" }}\n\
             [projects.\"acme/shop\".stages.production]\nbranch = \"main\"\n"
        )
    }

    /// Sends to this app, as another release each time.
    pub(super) async fn switch(&mut self, app: SocketAddr) -> Result<Switched, GatewayError> {
        self.generation += 1;
        let second = Span::from_secs(1);
        let service = ServiceSpec {
            key: ServiceKey("1/production/default".to_owned()),
            generation: Generation(self.generation),
            release: ReleaseNumber(self.generation),
            routes: vec![Route::new(HOST, "/"), Route { https: true, ..Route::new(SECURE_HOST, "/") }],
            targets: vec![Target { name: "app".to_owned(), address: app }],
            probe: Probe { path: None, interval: second, timeout: second },
            drain: second,
            hold: Hold { requests: 100, time: Span::from_secs(10) },
            https: false,
            protocol: AppProtocol::Http1,
            hsts: None,
            pages: BTreeMap::new(),
        };
        self.control.switch(&Switch { service, deadline: Span::from_secs(10), unchecked: false }).await
    }

    pub(super) fn process(&self, config: &std::path::Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("gateway").arg("--config").arg(config).stdin(Stdio::null()).kill_on_drop(true);
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// What all processes have said.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Whose the control socket is.
    fn holder(&self) -> Option<u64> {
        std::fs::metadata(self.control.control()).map(|metadata| metadata.ino()).ok()
    }

    /// Does something, and waits until the control socket has another owner.
    pub(super) async fn until_followed<T>(&self, start: impl AsyncFnOnce() -> T) -> T {
        let before = self.holder();
        let started = start().await;
        let followed = async {
            while self.holder().is_none_or(|now| Some(now) == before) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, followed).await.is_err() {
            panic!("no newer gateway takes over\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
        }
        started
    }
}

/// A container from an image without a file: what the program needs of this machine it sees where it is here.
pub(super) struct Container {
    name: String,
}

impl Container {
    pub(super) async fn start(host: &Host, image: &str) -> Self {
        let name = format!("windlass-test-{:08x}", rand::random::<u32>());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_windlass"));
        let programs = program.parent().unwrap().display().to_string();
        let folder = host.folder.path().display().to_string();
        let mut arguments: Vec<String> =
            ["run", "--detach", "--network", "host", "--name", &name].map(ToOwned::to_owned).into();
        arguments.extend(["--user".to_owned(), format!("{}:{}", owner(host).0, owner(host).1)]);
        for place in ["/usr", "/lib", "/lib64", &programs] {
            if std::path::Path::new(place).exists() {
                arguments.extend(["--volume".to_owned(), format!("{place}:{place}:ro")]);
            }
        }
        arguments.extend(["--volume".to_owned(), format!("{folder}:{folder}"), image.to_owned()]);
        arguments.extend([program.display().to_string(), "gateway".to_owned()]);
        arguments.extend(["--config".to_owned(), host.config().display().to_string()]);
        docker(&arguments).await;
        Self { name }
    }

    pub(super) async fn wait(&self) -> String {
        docker(&["wait".to_owned(), self.name.clone()]).await
    }

    pub(super) async fn logs(&self) -> String {
        docker(&["logs".to_owned(), self.name.clone()]).await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&["rm", "--force", &self.name]);
    }
}

/// An image without a file.
pub(super) struct EmptyImage(pub(super) String);

impl EmptyImage {
    pub(super) async fn make(host: &Host) -> Self {
        let name = format!("windlass-test-empty:{:08x}", rand::random::<u32>());
        let tar = host.folder.path().join("empty.tar");
        // The end of an archive with nothing in it.
        write(&tar, &"\0".repeat(1024));
        docker(&["import".to_owned(), tar.display().to_string(), name.clone()]).await;
        Self(name)
    }
}

impl Drop for EmptyImage {
    fn drop(&mut self) {
        remove(&["image", "rm", "--force", &self.0]);
    }
}

fn owner(host: &Host) -> (u32, u32) {
    let metadata = std::fs::metadata(host.folder.path()).unwrap();
    (metadata.uid(), metadata.gid())
}

async fn docker(arguments: &[String]) -> String {
    let ended = Command::new("docker").args(arguments).output().await.unwrap();
    assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).trim().to_owned()
}

fn remove(arguments: &[&str]) {
    let _ = std::process::Command::new("docker").args(arguments).output();
}

/// One that was followed and has nothing left.
pub(super) async fn ended(mut process: Child) -> ExitStatus {
    tokio::time::timeout(PATIENCE, process.wait()).await.expect("it has nothing left").unwrap()
}
