//! The demo: it holds, and it leaves nothing behind, also when it is interrupted.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use windlass_core::config::DockerEndpoint;
use windlass_core::names::InstallationId;
use windlass_engine::Engine;

use crate::world::PATIENCE;

fn demo(folder: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_windlass"))
        .args(["demo", "--once"])
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What is left on the engine of the installation that the demo made, and of its files.
async fn assert_nothing_is_left(installation: &str, folder: &std::path::Path) {
    let endpoint = DockerEndpoint::Unix("/var/run/docker.sock".into());
    let installation = InstallationId(installation.parse().unwrap());
    let engine = Engine::connect("here".parse().unwrap(), &endpoint, installation).await.unwrap();
    assert_eq!(engine.leftovers().await.unwrap(), Vec::<String>::new());
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "{files:?}");
}

/// Reads on until a line begins so; gives all lines read.
async fn lines_until(output: &mut (impl AsyncBufReadExt + Unpin), beginning: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = output.lines();
    while let Some(line) = reader.next_line().await.unwrap() {
        let found = beginning.is_some_and(|beginning| line.starts_with(beginning));
        lines.push(line);
        if found {
            break;
        }
    }
    lines
}

fn installation(lines: &[String]) -> String {
    let line = lines.iter().find_map(|line| line.trim().strip_prefix("installation ")).expect("the demo names it");
    line.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_holds_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path());
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let lines = tokio::time::timeout(PATIENCE * 3, lines_until(&mut output, None)).await.unwrap();
    assert!(demo.wait().await.unwrap().success(), "{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line == "failed requests: 0"), "{}", lines.join("\n"));
    assert_nothing_is_left(&installation(&lines), folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_demo_leaves_nothing_behind_either() {
    for moment in ["Release 1", "    migrate", "Release 2", "    boot"] {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = demo(folder.path());
        let mut output = BufReader::new(demo.stdout.take().unwrap());
        let mut lines = tokio::time::timeout(PATIENCE, lines_until(&mut output, Some(moment))).await.unwrap();
        let pid = demo.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        lines.extend(tokio::time::timeout(PATIENCE, lines_until(&mut output, None)).await.unwrap());
        let status = demo.wait().await.unwrap();
        assert_eq!(status.code(), Some(130), "{moment}: {}", lines.join("\n"));
        assert_nothing_is_left(&installation(&lines), folder.path()).await;
    }
}
