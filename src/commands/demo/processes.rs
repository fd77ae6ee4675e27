//! The demo's child processes: this same program as service and as gateway, each in a process group of its own so that
//! a Ctrl-C ends them in the demo's order and not all at once.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running child and where it logs.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    pub(super) log: PathBuf,
}

/// How long a child may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(15);

impl Process {
    /// Starts this program with other arguments and waits until it takes connections.
    pub(super) async fn start(
        name: &'static str,
        arguments: &[&OsStr],
        folder: &Path,
        answers_at: SocketAddr,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let mut process = Self { name, child, log };
        process.until_it_answers(answers_at).await?;
        Ok(process)
    }

    async fn until_it_answers(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let answers = async {
            // There is no event for "a port is open".
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = answers => Ok(()),
            ended = self.child.wait() => bail!("the {} ended at once ({}):\n{}", self.name, ended?, self.log_tail()),
            () = tokio::time::sleep(PATIENCE) => bail!("the {} does not answer:\n{}", self.name, self.log_tail()),
        }
    }

    /// Ends it politely, and after a while not.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}
