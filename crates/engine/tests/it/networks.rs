//! Each project's stages have a network of their own, and each task an address that nobody else is given.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tokio::sync::mpsc;
use windlass_core::deployment::FailureCode;
use windlass_core::names::RepositoryId;
use windlass_core::quantity::Duration;
use windlass_core::secrets::Secrets;
use windlass_core::subnet::Subnet;
use windlass_core::task::TaskSpec;
use windlass_engine::TimeLimit;
use windlass_testing::docker_client::docker;

use crate::lab::Lab;

/// Whether a one-off task with these labels gets an answer from there.
async fn reaches(lab: &Lab, like: &TaskSpec, name: &str, address: IpAddr) -> bool {
    let mut task = lab.one_off(name, &["ask", &format!("{address}:3000")]);
    (task.labels.project, task.labels.stage) = (like.labels.project, like.labels.stage.clone());
    let limit = TimeLimit { time: Duration::from_secs(20), code: FailureCode::Internal };
    let (lines, mut log) = mpsc::channel(64);
    let run = async { lab.engine.run_to_end(&task, &Secrets::default(), limit, lines).await.unwrap() };
    let (exit, ()) = tokio::join!(run, async { while log.recv().await.is_some() {} });
    exit.code == 0
}

/// Whether it gets none. With each network that it makes, Docker takes the rule that keeps networks apart away and puts it
/// back (libnetwork, `EnsureJumpRule`), and other tests make networks: who got through once does not get through each time.
async fn is_kept_from(lab: &Lab, like: &TaskSpec, name: &str, address: IpAddr) -> bool {
    for number in 0..5 {
        if !reaches(lab, like, &format!("{name}-{number}"), address).await {
            return true;
        }
    }
    false
}

async fn address(lab: &Lab, task: &TaskSpec) -> IpAddr {
    let address = lab.engine.look(&task.name).await.unwrap().address.unwrap();
    while tokio::net::TcpStream::connect((address, 3000)).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    address
}

#[tokio::test]
async fn a_task_reaches_its_own_stages_tasks_only_and_this_machine_reaches_all() {
    let lab = Lab::open().await;
    let (shop, mut staging, mut blog) = (lab.task("shop"), lab.task("staging"), lab.task("blog"));
    staging.labels.stage = "staging".parse().unwrap();
    blog.labels.project = RepositoryId(7);
    for task in [&shop, &staging, &blog] {
        lab.boot(task).await;
        // The gateway is a process of this machine.
        address(&lab, task).await;
    }
    let shops = address(&lab, &shop).await;
    assert!(reaches(&lab, &shop, "own", shops).await);
    assert!(is_kept_from(&lab, &staging, "other-stage", shops).await);
    assert!(is_kept_from(&lab, &blog, "other-project", shops).await);
    let networks: BTreeSet<String> =
        [&shop, &staging, &blog].map(|task| lab.engine.network_name(&task.labels)).into_iter().collect();
    assert_eq!(networks.len(), 3);
    let label = docker(&["network", "inspect", "--format", "{{json .Labels}}", &lab.engine.network_name(&blog.labels)]);
    assert!(
        label.contains(r#""windlass.project":"7""#) && label.contains(r#""windlass.stage":"production""#),
        "{label}"
    );
}

#[tokio::test]
async fn rule_106_docker_by_itself_gives_nobody_an_address_that_a_task_has_or_will_have() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    let network = lab.engine.network_name(&task.labels);
    let range = docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).IPRange}}", &network]);
    let dockers: Subnet = range.parse().unwrap();
    let (stranger, image) = (lab.name("stranger"), lab.image.reference());
    docker(&["run", "--detach", "--name", &stranger, "--network", &network, &image]);
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let given = docker(&["inspect", "--format", format, &stranger]);
    docker(&["rm", "--force", &stranger]);
    assert!(dockers.contains(given.parse().unwrap()), "{given} {dockers}");
    let IpAddr::V4(ours) = address(&lab, &task).await else { panic!() };
    assert!(!dockers.contains(ours), "{ours} {dockers}");
}

#[tokio::test]
async fn rule_106_a_task_whose_address_a_stranger_has_starts_at_another_one() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    let before = address(&lab, &task).await;
    docker(&["kill", &task.name]);
    let network = lab.engine.network_name(&task.labels);
    let (stranger, image) = (lab.name("stranger"), lab.image.reference());
    docker(&["run", "-d", "--name", &stranger, "--network", &network, "--ip", &before.to_string(), &image]);
    let revived = lab.engine.revive(&task.name).await;
    let after = lab.engine.look(&task.name).await.unwrap().address;
    docker(&["rm", "--force", &stranger]);
    revived.unwrap();
    assert!(after.is_some_and(|after| after != before), "{before} {after:?}");
    let aliases =
        docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Aliases}}{{end}}", &task.name]);
    assert!(aliases.contains("web.default.production.shop.acme"), "{aliases}");
}

#[tokio::test]
async fn networks_are_cut_from_the_hosts_block_around_what_others_have() {
    let lab = Lab::open().await;
    let block: Subnet = format!("10.212.{}.0/22", uuid::Uuid::new_v4().as_bytes()[0] & 0xfc).parse().unwrap();
    let engine = lab.engine.clone().with_networks(block);
    let stages = ["one", "two", "three"].map(|stage| {
        let mut labels = lab.task("web-1").labels;
        labels.stage = stage.parse().unwrap();
        labels
    });
    let mut subnets = Vec::new();
    for labels in &stages[..2] {
        let id = engine.ensure_network(labels).await.unwrap();
        assert_eq!(engine.ensure_network(labels).await.unwrap(), id);
        subnets.push(docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", &id]));
    }
    subnets.sort();
    assert_eq!(subnets, [block.part(23, 0).to_string(), block.part(23, 1).to_string()]);
    let error = engine.ensure_network(&stages[2]).await.unwrap_err().to_string();
    assert!(error.contains(&block.to_string()) && error.contains("[hosts.a]"), "{error}");

    let kept = BTreeSet::from([(stages[0].project, stages[0].stage.clone())]);
    assert_eq!(engine.remove_networks_but(&kept).await.unwrap(), [engine.network_name(&stages[1])]);
    engine.ensure_network(&stages[2]).await.unwrap();
}
