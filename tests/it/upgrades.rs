//! `windlass gateway` followed by `windlass gateway`, as processes and as containers, under everything that clients do.

mod app;
mod host;
mod traffic;

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use windlass_core::deployment::DeploymentState;

use crate::crash::Client;
use crate::world::{World, write};
use host::{Container, EmptyImage, Host, ended};
use traffic::{Counts, Traffic};

const UPGRADES: usize = 5;
const SWITCHES: usize = 40;
/// What clients do between two.
const PAUSE: Duration = Duration::from_millis(400);

/// More on demand: `WINDLASS_UPGRADES=20`,
fn upgrades() -> usize {
    asked("WINDLASS_UPGRADES").unwrap_or(UPGRADES)
}

/// `WINDLASS_SWITCHES=200`.
fn switches() -> usize {
    asked("WINDLASS_SWITCHES").unwrap_or(SWITCHES)
}

fn asked(variable: &str) -> Option<usize> {
    std::env::var_os(variable)?.to_str()?.parse().ok()
}

fn check(counts: &Counts, upgrades: usize) {
    let failures = counts.failures();
    assert!(failures.is_empty(), "of {counts}: {:#?}", &failures[..failures.len().min(20)]);
    for of in Counts::all() {
        assert!(of(counts) >= upgrades as u64, "{counts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_follow_each_other_under_load_and_nobody_notices() {
    let mut host = Host::new();
    let app = app::start().await;
    let mut newest = host.until_followed(async || host.process(&host.config())).await;
    host.switch(app).await.unwrap();
    let mut traffic = Traffic::start(&host);
    let (mut before, mut longest) = (Vec::new(), Duration::ZERO);
    for _ in 0..upgrades() {
        tokio::time::sleep(PAUSE).await;
        traffic.open_long_ones();
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        let newer = host.until_followed(async || host.process(&host.config())).await;
        longest = longest.max(begun.elapsed());
        before.push(std::mem::replace(&mut newest, newer));
        host.switch(app).await.expect("a deployment meets no upgrade");
        assert!(traffic.counts().failures().is_empty(), "{:?}", traffic.counts().failures());
    }
    tokio::time::sleep(PAUSE).await;
    for process in &mut before {
        assert!(process.try_wait().unwrap().is_none(), "it has a WebSocket");
    }
    let counts = traffic.stop().await;
    println!("{} upgrades, the longest in {longest:?}: {counts}", upgrades());
    check(&counts, upgrades());
    for process in before {
        assert!(ended(process).await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traffic_moves_from_release_to_release_under_load_and_nobody_notices() {
    let mut host = Host::new();
    let apps = [app::start().await, app::start().await];
    let _gateway = host.until_followed(async || host.process(&host.config())).await;
    host.switch(apps[0]).await.unwrap();
    let mut traffic = Traffic::start(&host);
    for switch in 1..=switches() {
        if switch % 5 == 0 {
            traffic.open_long_ones();
        }
        // Sooner than the drain is over: what is long under way lives on, since its target serves again.
        tokio::time::sleep(PAUSE / 8).await;
        host.switch(apps[switch % 2]).await.unwrap();
        assert!(traffic.counts().failures().is_empty(), "{:?}", traffic.counts().failures());
    }
    let counts = traffic.stop().await;
    println!("{} switches: {counts}", switches());
    check(&counts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_follows_another_under_load_and_nobody_notices() {
    let mut host = Host::new();
    let app = app::start().await;
    let image = EmptyImage::make(&host).await;
    let mut newest = host.until_followed(async || Container::start(&host, &image.0).await).await;
    host.switch(app).await.unwrap();
    let mut traffic = Traffic::start(&host);
    let mut before = Vec::new();
    for _ in 0..UPGRADES {
        tokio::time::sleep(PAUSE).await;
        traffic.open_long_ones();
        tokio::time::sleep(PAUSE).await;
        let newer = host.until_followed(async || Container::start(&host, &image.0).await).await;
        before.push(std::mem::replace(&mut newest, newer));
        host.switch(app).await.expect("a deployment meets no upgrade");
    }
    tokio::time::sleep(PAUSE).await;
    let counts = traffic.stop().await;
    println!("{UPGRADES} upgrades of a container: {counts}");
    check(&counts, UPGRADES);
    for container in &before {
        let ended = tokio::time::timeout(crate::world::PATIENCE, container.wait()).await.expect("it has nothing left");
        assert_eq!(ended, "0", "{}", container.logs().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_that_is_killed_before_it_serves_is_missed_by_nobody() {
    let mut host = Host::new();
    let app = app::start().await;
    let mut first = host.until_followed(async || host.process(&host.config())).await;
    host.switch(app).await.unwrap();
    let mut traffic = Traffic::start(&host);
    traffic.open_long_ones();
    // Whoever reads this snapshot waits for ever, with the sockets in its hands.
    let (file, data) = (host.folder.path().join("stuck.toml"), host.folder.path().join("stuck"));
    write(&file, &host.server_file("stuck"));
    std::fs::create_dir(&data).unwrap();
    let made = Command::new("mkfifo").arg(data.join("gateway-a.json")).status().await.unwrap();
    assert!(made.success());
    for _ in 0..3 {
        let mut newcomer = host.process(&file);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(newcomer.try_wait().unwrap().is_none(), "it waits for its snapshot");
        let kills = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            newcomer.kill().await.unwrap();
        };
        let (switched, ()) = tokio::join!(host.switch(app), kills);
        switched.expect("a deployment meets no upgrade");
    }
    assert!(first.try_wait().unwrap().is_none());
    let counts = traffic.stop().await;
    println!("3 newcomers killed: {counts}");
    check(&counts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_go_on_while_gateways_follow_each_other() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    for number in [1, 2] {
        world.release(&format!("release {number}"), &image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    let client = Client::start(&world);
    client.until_answered(20).await;
    let mut newer: Vec<Child> = Vec::new();
    let upgrading = async {
        loop {
            let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
            command.args(["gateway", "--host", "a", "--config"]).arg(world.folder.path().join("windlass-server.toml"));
            newer.push(command.stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap());
            tokio::time::sleep(4 * PAUSE).await;
        }
    };
    let deploying = async {
        for kind in ["rollback", "deploy", "rollback", "deploy"] {
            let release = (kind == "deploy").then_some(2);
            let deployment = world.deploy(kind, release).await;
            assert_eq!(deployment.state, DeploymentState::Succeeded, "{deployment:#?}");
        }
    };
    tokio::select! {
        () = upgrading => unreachable!("it has no end"),
        () = deploying => {}
    }
    let answered = client.stop().await;
    println!("4 deployments, {} upgrades meanwhile, {answered} requests answered, 0 failed", newer.len());
    assert!(newer.len() > 1);
}
