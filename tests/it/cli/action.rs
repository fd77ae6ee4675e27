//! `windlass action` as a step of a job, without a container: what the runner reads of it.

use std::io::Read as _;
use std::process::{Command, Stdio};

use super::{Ended, Place, Service, service};

fn step(place: &Place, server: &str, inputs: &[(&str, &str)]) -> Command {
    let mut command = place.command(&["action"]);
    command.env("GITHUB_WORKSPACE", place.folder.path()).env("GITHUB_REPOSITORY", "acme/shop");
    command.env("INPUT_SERVER", server).env("INPUT_TOKEN", "the-token").env("INPUT_STAGE", "production");
    command.envs(inputs.iter().map(|(name, value)| (format!("INPUT_{name}"), *value)));
    command
}

/// The runner takes commands again, however the step has ended.
#[track_caller]
fn listens(log: &str) {
    let mut stopped: Option<String> = None;
    for line in log.lines() {
        match &stopped {
            Some(end) if line == end => stopped = None,
            Some(_) => {}
            None => stopped = line.strip_prefix("::stop-commands::").map(|word| format!("::{word}::")),
        }
    }
    assert!(log.contains("::stop-commands::") && stopped.is_none(), "{log}");
}

#[test]
fn the_runner_listens_again_however_a_step_ends() {
    let place = Place::empty();
    let no_job = place.run(&["action"]);
    assert!(no_job.stdout.contains("GITHUB_WORKSPACE is not set"), "{no_job:?}");
    listens(&no_job.stdout);

    let service = Service::start(|request| {
        let version = format!("{{ \"version\": \"{}\" }}", env!("CARGO_PKG_VERSION"));
        service::json(200, if request.path.ends_with("/version") { &version } else { service::STAGE })
    });
    let done = Ended::new(step(&place, &service.url(), &[("COMMAND", "status")]).output().unwrap()).with(0);
    listens(&done.stdout);
    let refusing = Service::start(|_| service::json(403, r#"{ "status": 403, "code": "forbidden", "title": "no" }"#));
    let failed = Ended::new(step(&place, &refusing.url(), &[("COMMAND", "status")]).output().unwrap());
    assert!(failed.status != Some(0) && failed.stdout.contains("::error "), "{failed:?}");
    listens(&failed.stdout);
    let wrong = Ended::new(step(&place, &service.url(), &[("COMMAND", "destroy")]).output().unwrap()).with(2);
    listens(&wrong.stdout);
}

#[test]
fn the_runner_listens_again_when_a_step_was_cancelled() {
    for signal in ["TERM", "INT"] {
        let (asked, until_asked) = std::sync::mpsc::channel();
        let service = Service::start(move |_| {
            asked.send(()).unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
            String::new()
        });
        let place = Place::empty();
        let mut step = step(&place, &service.url(), &[("COMMAND", "status")]).stdout(Stdio::piped()).spawn().unwrap();
        until_asked.recv().unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), &step.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut log = String::new();
        step.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        step.wait().unwrap();
        assert!(log.contains("the job was cancelled"), "{log}");
        listens(&log);
    }
}

#[test]
fn a_platform_that_there_is_none_of_is_refused_before_anything_is_asked_or_built() {
    let service = Service::start(|request| panic!("{request:?}"));
    let place = Place::empty();
    let platforms = [("PLATFORMS", "linux/amd64, linux/vax")];
    let ended = Ended::new(step(&place, &service.url(), &platforms).output().unwrap()).with(2);
    assert!(ended.stdout.contains("the input `platforms` cannot be used: `linux/vax` is not a platform"), "{ended:?}");

    let file = "schema = 1\nbuild = { platforms = [\"linux/x86_64\"] }\n";
    let place = Place::empty().file("windlass.toml", file);
    place.run(&["config"]).with(2).saying("`linux/x86_64` is not a platform").saying("write it as linux/amd64");
}
