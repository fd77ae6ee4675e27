use windlass_core::config::{Resources, Volume};
use windlass_core::deployment::FailureCode;
use windlass_core::names::ReleaseNumber;
use windlass_core::secrets::Secrets;
use windlass_core::task::{Image, TaskHealth, TaskStatus};
use windlass_engine::BootOutcome;
use windlass_testing::docker_client::docker;

use crate::lab::{Lab, secret};

#[tokio::test]
async fn a_booted_task_is_observed_with_its_labels_and_address() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    assert_eq!(lab.engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::Created);

    let observed = lab.engine.observe().await.unwrap();
    let [found] = observed.as_slice() else { panic!("{observed:?}") };
    assert_eq!((&found.name, &found.labels, &found.host), (&task.name, &task.labels, &task.host));
    assert_eq!((found.status, found.health), (TaskStatus::Running, TaskHealth::Unknown));
    assert!(found.started.is_some() && found.stopped.is_none() && found.exit.is_none());
    let address = (found.address.expect("an address on the installation's network"), 3000);
    let mut connection = tokio::net::TcpStream::connect(address).await;
    while connection.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        connection = tokio::net::TcpStream::connect(address).await;
    }
}

#[tokio::test]
async fn a_second_boot_takes_over_the_first_ones_container() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    let first = lab.engine.look(&task.name).await.unwrap().container;
    assert_eq!(lab.engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::AlreadyDone);
    assert_eq!(lab.engine.look(&task.name).await.unwrap().container, first);
}

#[tokio::test]
async fn a_boot_starts_what_was_created_before_a_crash() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    lab.engine.remove(&task.name).await.unwrap();
    let labels = task.labels.to_map().into_iter().map(|(key, value)| format!("--label={key}={value}"));
    let mut arguments = vec!["create".to_owned(), format!("--name={}", task.name)];
    arguments.extend(labels);
    arguments.push(task.image.reference());
    docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(lab.engine.look(&task.name).await.unwrap().status, TaskStatus::Pending);

    assert_eq!(lab.engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::Created);
    assert_eq!(lab.engine.look(&task.name).await.unwrap().status, TaskStatus::Running);
}

#[tokio::test]
async fn a_name_that_another_task_has_is_an_error_and_the_other_one_stays() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    lab.boot(&task).await;
    task.labels.release = ReleaseNumber(2);
    let failure = lab.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BootFailed);
    assert!(failure.summary.contains("another task's"), "{failure:?}");
    assert_eq!(lab.engine.look(&task.name).await.unwrap().labels.release, ReleaseNumber(1));
}

#[tokio::test]
async fn limits_environment_volumes_and_signals_are_really_set() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.resources = Resources { memory: Some("64m".parse().unwrap()), cpu: Some(0.5) };
    task.env.insert("GREETING".to_owned(), "hello world".to_owned());
    task.secrets = vec!["KEY".to_owned()];
    task.command = Some(vec!["serve".to_owned()]);
    task.stop.signal = "SIGINT".to_owned();
    let data = lab.name("data");
    task.volumes = vec![
        Volume { source: data.clone(), target: "/data".to_owned(), read_only: false },
        Volume { source: "/tmp".to_owned(), target: "/host".to_owned(), read_only: true },
    ];
    lab.engine.boot(&task, &secret("KEY", "hunter2")).await.unwrap();

    let seen = |format: &str| docker(&["inspect", "--format", format, &task.name]);
    let limits = seen("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}}");
    assert_eq!(limits, "67108864 500000000 no");
    assert_eq!(seen("{{.Config.StopSignal}} {{.Config.StopTimeout}} {{.Config.Cmd}}"), "SIGINT 5 [serve]");
    let environment = seen("{{json .Config.Env}}");
    for wanted in [r#""GREETING=hello world""#, r#""KEY=hunter2""#, r#""PORT=3000""#] {
        assert!(environment.contains(wanted), "{environment}");
    }
    assert!(!seen("{{json .Config.Labels}} {{.Name}} {{.Args}}").contains("hunter2"));
    let mounts = seen("{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}, {{end}}");
    assert!(mounts.contains("volume /data true") && mounts.contains("bind /host false"), "{mounts}");
    let volume = docker(&["volume", "inspect", "--format", "{{json .Labels}}", &data]);
    assert!(volume.contains(&lab.engine.installation().to_string()), "{volume}");
    let aliases = seen("{{range .NetworkSettings.Networks}}{{.Aliases}}{{end}}");
    assert!(aliases.contains("web.default.production.shop.acme"), "{aliases}");
}

#[tokio::test]
async fn a_missing_secret_is_named_before_anything_is_made() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.secrets = vec!["DATABASE_URL".to_owned()];
    let failure = lab.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SecretMissing);
    assert!(failure.summary.contains("DATABASE_URL"), "{failure:?}");
    assert!(lab.engine.observe().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_image_that_is_not_there_and_has_no_registry_is_missing() {
    let lab = Lab::open().await;
    let image = Image { name: None, digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap() };
    let failure = lab.engine.prepare(&image, None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageMissing);
    let mut task = lab.task("web-1");
    task.image = image;
    let failure = lab.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageMissing, "{failure:?}");
}

#[tokio::test]
async fn a_command_that_the_image_does_not_have_fails_at_boot_with_its_reason() {
    let lab = Lab::with(&windlass_testing::images::build_context(
        "FROM scratch\nCOPY f /f\nCMD [\"/none\"]\n",
        &[("f", b"x", 0o644)],
    ))
    .await;
    let failure = lab.engine.boot(&lab.task("web-1"), &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BootFailed);
    assert!(failure.summary.ends_with("the image cannot run `/none`: no such file or directory"), "{failure:?}");
}

#[tokio::test]
async fn only_a_kept_container_is_started_again_by_docker() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.env.insert("SAMPLE_EXIT_AFTER_MS".to_owned(), "1500".to_owned());
    lab.boot(&task).await;
    lab.engine.keep(&task.name).await.unwrap();
    let first = lab.engine.look(&task.name).await.unwrap().started;
    lab.engine.ended(&task.name).await.unwrap();
    while lab.engine.look(&task.name).await.unwrap().started == first {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    lab.engine.stop(&task.name, "SIGTERM", std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(docker(&["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", &task.name]), "no");
    assert_eq!(lab.engine.look(&task.name).await.unwrap().status, TaskStatus::Stopped);
}

#[tokio::test]
async fn a_container_that_comes_back_has_its_own_address_and_not_a_newer_ones() {
    let lab = Lab::open().await;
    let address = async |name: &str| lab.engine.look(&lab.name(name)).await.unwrap().address.unwrap();
    lab.boot(&lab.task("web-1")).await;
    let first = address("web-1").await;
    docker(&["kill", &lab.name("web-1")]);
    lab.boot(&lab.task("web-2")).await;
    let second = address("web-2").await;
    docker(&["kill", &lab.name("web-2")]);
    assert_ne!(first, second);
    for name in ["web-2", "web-1"] {
        docker(&["start", &lab.name(name)]);
    }
    assert_eq!((address("web-1").await, address("web-2").await), (first, second));
}

#[tokio::test]
async fn an_address_that_somebody_else_has_taken_meanwhile_is_given_up() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    let taken = lab.engine.look(&task.name).await.unwrap().address.unwrap();
    docker(&["kill", &task.name]);
    let network = lab.engine.network_name(&task.labels);
    let label = format!("windlass.installation={}", lab.engine.installation());
    let labels = task.labels.to_map().into_iter().map(|(key, value)| format!("--label={key}={value}"));
    // An earlier try had chosen the address and then crashed; then somebody else came.
    docker(&["rm", &task.name]);
    let mut create = vec!["create".to_owned(), format!("--name={}", task.name), format!("--network={network}")];
    create.extend([format!("--ip={taken}")].into_iter().chain(labels));
    create.push(task.image.reference());
    docker(&create.iter().map(String::as_str).collect::<Vec<_>>());
    let other = lab.name("other");
    let (address, image) = (format!("--ip={taken}"), task.image.reference());
    docker(&["run", "-d", "--name", &other, "--network", &network, &address, "--label", &label, &image]);

    let booted = lab.engine.boot(&task, &Secrets::default()).await;
    let address = lab.engine.look(&task.name).await.unwrap().address;
    docker(&["rm", "-f", &other]);
    assert_eq!(booted.unwrap(), BootOutcome::Created);
    assert!(address.is_some_and(|address| address != taken), "{address:?}");
}
