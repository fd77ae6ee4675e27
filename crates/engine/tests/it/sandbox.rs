//! What surrounds a task's process: as Docker has it, and as the process itself sees it.

use std::io::{Read, Write};
use std::net::TcpListener;

use tokio::sync::mpsc;
use windlass_core::config::{HOST_GATEWAY, Limits, LogBound, Sandbox, Tmpfs, Ulimit};
use windlass_core::deployment::FailureCode;
use windlass_core::exec;
use windlass_core::quantity::{Duration, Memory};
use windlass_core::secrets::Secrets;
use windlass_core::task::{LogLine, TaskSpec};
use windlass_engine::TimeLimit;
use windlass_testing::docker_client::docker;

use crate::lab::{Lab, secret};

const LIMIT: TimeLimit = TimeLimit { time: Duration::from_secs(20), code: FailureCode::MigrationTimeout };

/// Runs it to its end and gives its lines.
async fn lines(lab: &Lab, task: &TaskSpec, secrets: &Secrets) -> Vec<String> {
    let (sender, mut receiver) = mpsc::channel::<LogLine>(64);
    let read = async {
        let mut all = Vec::new();
        while let Some(line) = receiver.recv().await {
            all.push(line.line);
        }
        all
    };
    let (exit, lines) = tokio::join!(lab.engine.run_to_end(task, secrets, LIMIT, sender), read);
    assert_eq!(exit.unwrap().code, 0, "{lines:?}");
    lines
}

fn inspect(task: &TaskSpec, format: &str) -> String {
    docker(&["inspect", "--format", format, &task.name])
}

#[tokio::test]
async fn a_service_a_one_off_task_and_a_migration_gain_no_privileges_and_have_a_bound_of_processes() {
    let lab = Lab::open().await;
    let usual = Limits::default().confine(&Sandbox::default());
    let mut service = lab.task("web-1");
    service.sandbox = usual.clone();
    lab.boot(&service).await;
    let mut once = lab.one_off("once", &["print-files", "/proc/self/status"]);
    once.sandbox = usual;
    let status = lines(&lab, &once, &Secrets::default()).await;
    assert!(status.contains(&"NoNewPrivs:\t1".to_owned()), "{status:?}");
    for task in [&service, &once] {
        assert_eq!(inspect(task, "{{.HostConfig.PidsLimit}} {{.HostConfig.SecurityOpt}}"), "4096 [no-new-privileges]");
        let log = inspect(
            task,
            "{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config \"max-size\"}} {{index .HostConfig.LogConfig.Config \"max-file\"}}",
        );
        assert_eq!(log, "json-file 10m 3");
    }
}

#[tokio::test]
async fn what_the_server_drops_is_gone_and_what_a_role_may_have_back_is_there() {
    let lab = Lab::open().await;
    let mut task = lab.one_off("bare", &["print-files", "/proc/self/status"]);
    task.sandbox.drop_capabilities = vec!["ALL".to_owned()];
    let status = lines(&lab, &task, &Secrets::default()).await;
    assert!(status.contains(&"CapEff:\t0000000000000000".to_owned()), "{status:?}");

    let mut task = lab.one_off("given", &["print-files", "/proc/self/status"]);
    task.sandbox.drop_capabilities = vec!["ALL".to_owned()];
    task.sandbox.capabilities = vec!["NET_BIND_SERVICE".to_owned()];
    task.sandbox.new_privileges = true;
    let status = lines(&lab, &task, &Secrets::default()).await;
    assert!(status.contains(&"CapEff:\t0000000000000400".to_owned()), "{status:?}");
    assert!(status.contains(&"NoNewPrivs:\t0".to_owned()), "{status:?}");
}

#[tokio::test]
async fn every_key_reaches_the_process() {
    let lab = Lab::open().await;
    let files = ["/proc/self/status", "/proc/self/limits", "/proc/self/mounts", "/etc/hosts", "/proc/1/comm"];
    let mut task = lab.one_off("all", &[&["print-files"][..], &files].concat());
    task.resources.memory = Some(Memory(64 << 20));
    task.sandbox = Sandbox {
        user: Some("1234:4321".to_owned()),
        init: true,
        read_only: true,
        tmpfs: vec![Tmpfs { target: "/scratch".to_owned(), size: Memory(1 << 20) }],
        shm: Some(Memory(2 << 20)),
        ulimits: [("nofile".to_owned(), Ulimit { soft: 100, hard: 200 })].into(),
        extra_hosts: [("db.internal".to_owned(), "10.9.8.7".to_owned())].into(),
        pids: Some(50),
        log: LogBound { max_size: Memory(64 << 10), max_file: 2 },
        ..Sandbox::default()
    };
    let seen = lines(&lab, &task, &Secrets::default()).await;
    let words: Vec<String> = seen.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |wanted: &str| assert!(words.iter().any(|line| line.starts_with(wanted)), "{wanted}\n{seen:#?}");
    has("Uid: 1234 1234 1234 1234");
    has("Gid: 4321 4321 4321 4321");
    has("Max open files 100 200 files");
    has("10.9.8.7 db.internal");
    has("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k");
    has("shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k");
    assert!(words.iter().any(|line| line.contains(" / ") && line.contains(" ro,")), "{seen:#?}");
    assert_ne!(seen.last().map(String::as_str), Some("app"), "the first process is another one's");
    assert_eq!(
        inspect(&task, "{{.HostConfig.PidsLimit}} {{index .HostConfig.LogConfig.Config \"max-size\"}}"),
        "50 64k"
    );
}

#[tokio::test]
async fn an_app_reaches_a_database_on_a_network_of_the_host_and_one_that_listens_on_the_host_itself() {
    let lab = Lab::open().await;
    let (network, database) = (lab.name("shop-db"), lab.name("database"));
    let label = format!("windlass.installation={}", lab.engine.installation());
    docker(&["network", "create", "--label", &label, &network]);
    let image = lab.image.reference();
    docker(&[
        "run",
        "-d",
        "--name",
        &database,
        "--label",
        &label,
        "--network",
        &network,
        "--network-alias",
        "db",
        "--env",
        "PORT=5432",
        &image,
    ]);
    let mut task = lab.one_off("ask", &["ask", "db", "5432"]);
    task.sandbox.networks = vec![network.clone()];
    let answer = lines(&lab, &task, &Secrets::default()).await;
    assert_eq!(answer, ["db answers 200"]);
    let networks = inspect(&task, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}");
    assert!(networks.contains(&network) && networks.contains(&lab.engine.network_name(&task.labels)), "{networks}");
    docker(&["rm", "-f", &database, &task.name]);
    docker(&["network", "rm", &network]);

    let mut task = lab.one_off("hosts", &["print-files", "/etc/hosts"]);
    task.sandbox.extra_hosts = [("host.docker.internal".to_owned(), HOST_GATEWAY.to_owned())].into();
    let hosts = lines(&lab, &task, &Secrets::default()).await;
    let line = hosts.iter().find(|line| line.ends_with("host.docker.internal")).unwrap();
    let listener = TcpListener::bind((line.split_whitespace().next().unwrap(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let host = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    });
    let mut task = lab.one_off("ask-host", &["ask", "host.docker.internal", &port]);
    task.sandbox.extra_hosts = [("host.docker.internal".to_owned(), HOST_GATEWAY.to_owned())].into();
    assert_eq!(lines(&lab, &task, &Secrets::default()).await, ["host.docker.internal answers 204"]);
    host.join().unwrap();
}

#[tokio::test]
async fn a_network_that_is_not_there_is_named_with_the_way_out() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.sandbox.networks = vec![lab.name("nowhere")];
    let failure = lab.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BootFailed);
    assert!(failure.summary.contains("nowhere"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("docker network create"));
}

#[tokio::test]
async fn variables_arrive_as_written_up_to_the_kernels_limit_and_what_is_beyond_is_refused_before_anything_is_made() {
    let lab = Lab::open().await;
    let odd = " $HOME ${X} 'a' \"b\" \\n ü€ \r\n second line\n";
    let mut task = lab.one_off("odd", &["print-env", "a.b-c"]);
    task.secrets = vec!["a.b-c".to_owned()];
    let printed = lines(&lab, &task, &secret("a.b-c", odd)).await;
    assert_eq!(printed.len(), 3, "{printed:?}");
    let environment: Vec<String> = serde_json::from_str(&inspect(&task, "{{json .Config.Env}}")).unwrap();
    assert!(environment.contains(&format!("a.b-c={odd}")), "{environment:?}");

    let fits = "x".repeat(exec::LONGEST - "KEY=".len());
    let mut task = lab.one_off("long", &["print-env", "KEY"]);
    task.secrets = vec!["KEY".to_owned()];
    let mut plain = task.clone();
    plain.secrets.clear();
    plain.env.insert("KEY".to_owned(), fits.clone());
    assert_eq!(lines(&lab, &plain, &Secrets::default()).await, std::slice::from_ref(&fits));

    task.name = lab.name("longer");
    let failure = lab.engine.boot(&task, &secret("KEY", &format!("{fits}y"))).await.unwrap_err();
    assert!(failure.summary.contains("the variable KEY is 131072 bytes"), "{}", failure.summary.len());
    let failure = lab.engine.boot(&task, &secret("KEY", "a\0b")).await.unwrap_err();
    assert!(failure.summary.contains("the variable KEY contains a NUL"), "{failure:?}");
    assert!(lab.engine.look(&task.name).await.is_err(), "nothing was made");
}
