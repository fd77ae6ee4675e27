//! `docker run`, as the runner types it, and what happens to the process when a job is cancelled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

/// How long a cancelled step has after each signal (actions/runner, `ProcessInvoker`).
const SIGNALS: [(&str, Duration); 2] = [("INT", Duration::from_millis(7500)), ("TERM", Duration::from_millis(2500))];

/// Dropped, it is removed, whatever it is doing.
pub(super) struct Container {
    name: String,
    process: Child,
    lines: UnboundedReceiver<String>,
}

impl Container {
    /// Values are passed by name, so that no list of processes shows them. The network is the host's, as it is where the
    /// job runs in a container with that network: all that the tests start listens on loopback.
    pub(super) fn run(
        image: &str,
        entrypoint: Option<&str>,
        args: &[String],
        variables: &BTreeMap<String, String>,
        volumes: &[(PathBuf, &str)],
    ) -> Self {
        let name = format!("windlass_runner_{}", Uuid::new_v4().simple());
        let mut command = Command::new("docker");
        command.args(["run", "--name", &name, "--label", "windlass-test-runner"]);
        command.args(["--workdir", "/github/workspace", "--rm"]);
        for variable in variables.keys() {
            command.args(["-e", variable]);
        }
        command.args(["-e", "GITHUB_ACTIONS=true", "-e", "CI=true"]);
        if let Some(entrypoint) = entrypoint {
            command.args(["--entrypoint", entrypoint]);
        }
        command.args(["--network", "host"]);
        for (source, target) in volumes {
            command.arg("-v").arg(format!("{}:{target}", source.display()));
        }
        let mut process = command
            .arg(image)
            .args(args)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (send, lines) = unbounded_channel();
        tokio::spawn(read(process.stdout.take().unwrap(), send.clone()));
        tokio::spawn(read(process.stderr.take().unwrap(), send));
        Self { name, process, lines }
    }

    /// A line of stdout or stderr, whichever comes first; `None` after the last.
    pub(super) async fn next_line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// `None`: a signal has ended it.
    pub(super) async fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().await.unwrap().code()
    }

    /// SIGINT, SIGTERM, and the end. The exit code, if it came to one by itself.
    pub(super) async fn cancel(&mut self) -> Option<i32> {
        for (signal, patience) in SIGNALS {
            let Some(pid) = self.process.id() else { break };
            let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().await.unwrap();
            assert!(sent.success(), "the step has ended before it was cancelled");
            if let Ok(ended) = timeout(patience, self.process.wait()).await {
                return ended.unwrap().code();
            }
        }
        self.process.kill().await.unwrap();
        None
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Without the process, which could still be about to make it.
        let _ = self.process.start_kill();
        // Most have gone by themselves, which is no error.
        let _ = std::process::Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

async fn read(stream: impl AsyncRead + Unpin, lines: UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await.unwrap() > 0 {
        let text = String::from_utf8_lossy(&line);
        // Nobody reads any more once the test has failed.
        let _ = lines.send(text.trim_end_matches(['\r', '\n']).to_owned());
        line.clear();
    }
}
