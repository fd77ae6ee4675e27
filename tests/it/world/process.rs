//! This program's servers as processes.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{PATIENCE, World};

impl World {
    /// SIGTERM; it ends in its own time.
    pub(crate) async fn ask_gateway_to_stop(&mut self) -> Child {
        let gateway = self.gateway.take().unwrap();
        let asked = Command::new("kill").arg(gateway.id().unwrap().to_string()).status().await;
        assert!(asked.unwrap().success());
        gateway
    }
}

/// One of this program's servers, once it listens, with so many files at the most. It ends with the value that stands for it.
pub(super) async fn start_within(
    open_files: Option<u32>,
    command: &str,
    config: &Path,
    more: &[&str],
    log: &Path,
    answers_at: SocketAddr,
) -> Child {
    let file = File::options().create(true).append(true).open(log).unwrap();
    let program = env!("CARGO_BIN_EXE_windlass");
    let mut process = match open_files {
        None => Command::new(program),
        Some(files) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &files.to_string(), program]);
            shell
        }
    };
    let mut child = process
        .arg(command)
        .arg("--config")
        .arg(config)
        .args(more)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let answers = async {
        while TcpStream::connect(answers_at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = answers => child,
        ended = child.wait() => panic!("{command} ended: {ended:?}\n{}", std::fs::read_to_string(log).unwrap()),
        () = tokio::time::sleep(PATIENCE) => panic!("{command} does not answer"),
    }
}
