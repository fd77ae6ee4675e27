//! A Docker Engine of the test's own, which nobody else misses while it restarts: in a folder of its own, with a
//! containerd of its own and addresses that this machine's engine does not give out.
//!
//! Only root can run one. Whoever is not root needs sudo without a password.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::{PATIENCE, write};

const POLL: Duration = Duration::from_millis(20);

pub(crate) struct OwnDocker {
    folder: TempDir,
    live_restore: LiveRestore,
    /// Without a bridge of its own it would remove this machine's, and with pools of addresses of its own when it is
    /// started again. Networks get addresses that nobody on this machine has.
    bridge: String,
    daemon: Option<Child>,
}

/// What containers do while their engine is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveRestore {
    /// They live on.
    On,
    /// They end with it.
    Off,
}

impl OwnDocker {
    pub(crate) async fn start(live_restore: LiveRestore) -> Self {
        // Sockets' paths must be short.
        let folder = tempfile::Builder::new().prefix("windlass-docker-").tempdir_in("/tmp").unwrap();
        // Otherwise it would read this machine's.
        write(&folder.path().join("daemon.json"), "{}");
        let bridge = format!("wl{:08x}", rand::random::<u32>());
        let mut docker = Self { folder, live_restore, bridge, daemon: None };
        docker.add_bridge();
        docker.begin();
        docker.until_it_answers().await;
        docker
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// What its networks are cut from: this machine's own engine sees its blocks as little as it sees that one's.
    pub(crate) fn networks(&self) -> String {
        format!("10.{}.0.0/17", rand::random_range(100..200))
    }

    /// As a package's upgrade does: asked to end, and started again.
    pub(crate) async fn restart(&mut self) {
        self.signal("TERM");
        let mut daemon = self.daemon.take().unwrap();
        let ended = async {
            while daemon.try_wait().unwrap().is_none() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()));
        self.begin();
        self.until_it_answers().await;
    }

    fn begin(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let group = std::fs::metadata("/proc/self").unwrap().gid().to_string();
        let mut daemon = as_root("dockerd");
        daemon
            .arg("--config-file")
            .arg(self.path("daemon.json"))
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .args(["--group", &group, "--storage-driver", "vfs"])
            // What two engines on one machine would have in common they would take from each other. Containers are
            // reached from this machine without any of it.
            .args(["--bridge", &self.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .args(["--ip-forward=false", "--userland-proxy=false"]);
        if self.live_restore == LiveRestore::On {
            daemon.arg("--live-restore");
        }
        let daemon = daemon.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.daemon = Some(daemon.expect("dockerd (of Docker Engine) is on the PATH"));
    }

    fn add_bridge(&self) {
        let bridge = &self.bridge;
        let address = format!("10.{}.255.1/24", rand::random_range(100..=250));
        for arguments in
            [&["link", "add", "name", bridge, "type", "bridge"][..], &["address", "add", &address, "dev", bridge]]
        {
            let done = as_root("ip").args(arguments).output().expect("ip (of iproute2) is on the PATH");
            assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    async fn until_it_answers(&mut self) {
        let answers = async {
            while !self.docker(&["version"]).status.success() {
                if let Some(ended) = self.daemon.as_mut().unwrap().try_wait().unwrap() {
                    panic!("dockerd {ended}:\n{}", self.log());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answers).await;
        assert!(answered.is_ok(), "dockerd does not answer:\n{}", self.log());
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let host = format!("unix://{}", self.socket().display());
        Command::new("docker").args(["--host", &host]).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn signal(&self, signal: &str) {
        if let Ok(pid) = std::fs::read_to_string(self.path("pid")) {
            let _ = as_root("kill").args(["-s", signal, pid.trim()]).status();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(30).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for OwnDocker {
    /// Containers outlive an engine that is just stopped, and so do their networks: it has to remove them itself.
    fn drop(&mut self) {
        if self.daemon.as_mut().is_none_or(|daemon| !matches!(daemon.try_wait(), Ok(None))) {
            self.begin();
        }
        let answers = (0..500).any(|_| {
            std::thread::sleep(POLL);
            self.docker(&["version"]).status.success()
        });
        if answers {
            let containers = String::from_utf8(self.docker(&["ps", "--all", "--quiet"]).stdout).unwrap_or_default();
            for container in containers.lines() {
                self.docker(&["rm", "--force", container]);
            }
            self.docker(&["network", "prune", "--force"]);
        }
        self.signal("TERM");
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.wait();
        }
        let _ = as_root("ip").args(["link", "delete", "dev", &self.bridge]).output();
        // With live-restore it leaves its folder mounted, on itself. What it made is root's.
        let _ = as_root("umount").arg(self.path("data")).output();
        let _ = as_root("rm").arg("-rf").arg(self.path("data")).arg(self.path("exec")).status();
    }
}

pub(crate) fn as_root(program: &str) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}
