//! The command line from outside: what it prints where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod action;
mod follow;
mod lock;
mod server_file;
mod service;
mod stale;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use service::Service;
use tempfile::TempDir;

/// A folder that the program runs in, and nothing of the environment that could tell it more.
struct Place {
    folder: TempDir,
    server: Option<String>,
}

impl Place {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: None }
    }

    /// With a service, a token, a project and a stage.
    fn with(service: &Service) -> Self {
        Self { server: Some(service.url()), ..Self::empty() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::File::create(self.folder.path().join(name))
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        for name in ["SERVER", "TOKEN", "PROJECT", "STAGE", "LOG", "LOG_FORMAT"] {
            command.env_remove(format!("WINDLASS_{name}"));
        }
        command.env_remove("NO_COLOR").env_remove("GITHUB_ACTIONS").env("GIT_CEILING_DIRECTORIES", self.folder.path());
        if let Some(server) = &self.server {
            command.env("WINDLASS_SERVER", server).env("WINDLASS_TOKEN", "the-token");
            command.env("WINDLASS_PROJECT", "acme/shop").env("WINDLASS_STAGE", "production");
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.command(arguments).output().unwrap())
    }
}

/// How the program ended and what it printed.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn with(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    #[track_caller]
    fn saying(self, what: &str) -> Self {
        assert!(self.stderr.contains(what), "no `{what}` in {self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Every command that does something, found in the help itself.
fn leaves(path: &[String]) -> Vec<Vec<String>> {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = Place::empty().run(&arguments).with(0).stdout;
    let Some((_, commands)) = help.split_once("Commands:\n") else { return vec![path.to_vec()] };
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        // A description that is wrapped goes on further to the right.
        line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next()
    });
    names.filter(|name| *name != "help").flat_map(|name| leaves(&[path, &[name.to_owned()]].concat())).collect()
}

#[test]
fn every_command_has_help_with_an_example_of_itself() {
    let commands = leaves(&[]);
    assert!(commands.len() >= 16, "{commands:?}");
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = Place::empty().run(&arguments).with(0).stdout;
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{command:?} has no example"));
        assert!(examples.contains(&format!("windlass {}", command.join(" "))), "{command:?}: {examples}");
    }
}

#[test]
fn a_file_with_mistakes_ends_with_2_and_all_of_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config/invalid");
    for (name, flag) in [("many", None), ("server-many", Some("--server"))] {
        let text = std::fs::read_to_string(fixtures.join(format!("{name}.toml"))).unwrap();
        let message = std::fs::read_to_string(fixtures.join(format!("{name}.txt"))).unwrap();
        let file = format!("{name}.toml");
        let place = Place::empty().file(&file, &text);
        let arguments: Vec<&str> = ["config", &file].into_iter().chain(flag).collect();
        let ended = place.run(&arguments).with(2).saying(message.trim_end());
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_file_that_is_not_there_ends_with_2_and_the_way_to_make_one() {
    Place::empty().run(&["config"]).with(2).saying("error: cannot read windlass.toml").saying("config --reference");
}

#[test]
fn the_reference_is_a_valid_file_of_its_own_kind() {
    for flag in [None, Some("--server")] {
        let reference: Vec<&str> = ["config", "--reference"].into_iter().chain(flag).collect();
        let text = Place::empty().run(&reference).with(0).stdout;
        let check: Vec<&str> = ["config", "file.toml"].into_iter().chain(flag).collect();
        let ended = Place::empty().file("file.toml", &text).run(&check).with(0);
        assert!(ended.stdout.starts_with("file.toml is valid"), "{ended:?}");
    }
}

#[test]
fn config_resolves_a_stage_for_people_and_for_programs() {
    let place = Place::empty().file("windlass.toml", "schema = 1\nport = 3000\n[stages.staging]\nscale = 4\n");
    let scale = |stage| {
        let config = place.run(&["config", "--stage", stage, "--json"]).with(0).json();
        config["apps"]["default"]["roles"]["web"]["scale"].as_u64()
    };
    assert_eq!((scale("staging"), scale("production")), (Some(4), Some(1)));
    let text = place.run(&["config", "--stage", "staging"]).with(0).stdout;
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["apps"]["default"]["roles"]["web"]["scale"].as_integer(), Some(4));
}

#[test]
fn what_is_missing_is_named_and_ends_with_2() {
    let place = Place::empty();
    place.run(&["status"]).with(2).saying("error: no server is given").saying("WINDLASS_SERVER");
    let server = ["--server", "https://deploy.example.com"];
    let run = |more: &[&str]| place.run(&[&["status"], &server[..], more].concat()).with(2);
    run(&[]).saying("no token is given");
    run(&["--token", "t"]).saying("no project is given");
    run(&["--token", "t", "-p", "acme/shop"]).saying("no stage is given");
    run(&["--token", "t", "-p", "acme"]).saying("`acme` is not a valid project");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let place = Place::empty();
    let mut command = place.command(&["status"]);
    let output = command.env("WINDLASS_SERVER", "").output().unwrap();
    Ended::new(output).with(2).saying("no server is given");
}

#[test]
fn a_token_is_never_sent_in_the_clear() {
    let arguments = ["status", "--server", "http://deploy.example.com", "--token", "hunter2", "-p", "a/b", "-s", "c"];
    let ended = Place::empty().run(&arguments).with(2).saying("plain http");
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[test]
fn a_server_that_is_not_there_is_named_with_where_its_address_comes_from() {
    let gone = Service::gone();
    let place = Place { server: Some(gone.clone()), ..Place::empty() };
    for command in [&["status"][..], &["deploy"], &["app", "ps"], &["release", "list"]] {
        place.run(command).with(1).saying(&gone).saying("refused").saying("WINDLASS_SERVER");
    }
    place.run(&["task", "run", "--", "true"]).with(125).saying(&gone);
}

#[test]
fn the_folder_tells_project_stage_and_app() {
    let service = Service::start(|request| match request.path.as_str() {
        "/api/v1/projects/acme/shop/stages/staging/apps/api/releases" => service::json(200, r#"{ "items": [] }"#),
        _ => service::json(404, r#"{ "status": 404, "code": "not_found", "title": "nothing is there" }"#),
    });
    let place = Place::with(&service).file("windlass.toml", "schema = 1\n[apps.api]\nport = 3000\n[stages.staging]\n");
    let git = |arguments: &[&str]| {
        assert!(Command::new("git").args(arguments).current_dir(&place.folder).output().unwrap().status.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "git@github.com:acme/shop.git"]);
    let mut command = place.command(&["release", "list", "--json"]);
    let output = command.env_remove("WINDLASS_PROJECT").env_remove("WINDLASS_STAGE").output().unwrap();
    Ended::new(output).with(0);
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let service = Service::start(|request| match request.path.as_str() {
        "/api/v1/projects/acme/shop/stages/production" => service::json(200, service::STAGE),
        "/api/v1/projects/acme/shop/stages/production/tasks" => service::json(200, "[]"),
        "/api/v1/projects/acme/shop/stages/production/apps/default/releases" => {
            service::json(200, r#"{ "items": [], "next": "1" }"#)
        }
        _ => service::json(404, r#"{ "status": 404, "code": "not_found", "title": "nothing is there" }"#),
    });
    let place = Place::with(&service);
    for command in [&["status"][..], &["release", "list"], &["task", "list"], &["app", "ps"]] {
        let ended = place.run(&[command, &["--json"]].concat()).with(0);
        ended.json();
        assert_eq!(ended.stderr, "", "{command:?}");
    }
    let tasks = place.run(&["app", "ps", "--json"]).json();
    assert_eq!((&tasks["active"], &tasks["desired"], &tasks["pending"]), (&1.into(), &2.into(), &1.into()));
    assert_eq!(tasks["tasks"][0]["started_at"], "2026-01-31T12:00:00Z");
}

#[test]
fn tables_have_the_columns_that_people_know() {
    let service = Service::start(|_| service::json(200, service::STAGE));
    let ended = Place::with(&service).run(&["app", "ps"]).with(0);
    let header: Vec<&str> = ended.stdout.lines().next().unwrap().split("  ").map(str::trim).collect();
    let header: Vec<&str> = header.into_iter().filter(|cell| !cell.is_empty()).collect();
    assert_eq!(header, ["ID", "ROLE", "RELEASE", "LAST STATUS", "HEALTH", "STARTED", "STOPPED"]);
    assert!(ended.stdout.contains("active: 1 · desired: 2 · pending: 1"), "{ended:?}");
    assert!(ended.stdout.contains(" ago"), "{ended:?}");
}

#[test]
fn what_the_service_refuses_is_shown_in_its_words() {
    let service = Service::start(|_| {
        let problem = r#"{ "status": 422, "code": "policy_refused", "title": "this server does not allow it",
            "detail": "in production", "errors": ["app `default`: `url` is not allowed"], "hint": "ask its keeper" }"#;
        service::json(422, problem)
    });
    Place::with(&service)
        .run(&["plan"])
        .with(3)
        .saying(
            "error: this server does not allow it\ncaused by: in production\n  app `default`: `url` is not allowed\n",
        )
        .saying("\n\nhint: ask its keeper\n");
}

#[test]
fn what_is_no_service_of_ours_is_not_taken_for_one() {
    let service = Service::start(|_| service::json(200, "<html>"));
    Place::with(&service).run(&["status"]).with(1).saying("cannot be understood");
    let service = Service::start(|_| service::json(502, "<html>"));
    Place::with(&service).run(&["status"]).with(1).saying("502").saying("WINDLASS_SERVER");
}

#[test]
fn the_service_learns_who_asks_and_from_which_version() {
    let service = Service::start(|request| {
        let known = request.header("authorization") == Some("Bearer the-token");
        let version = request.header("windlass-version") == Some(env!("CARGO_PKG_VERSION"));
        if known && version { service::json(200, service::STAGE) } else { service::json(400, "{}") }
    });
    Place::with(&service).run(&["status"]).with(0);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Place::empty()
        .command(&["config", "--reference"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    Ended::new(child.wait_with_output().unwrap()).with(0);
}

#[test]
fn colours_are_left_out_of_pipes_and_where_nobody_wants_them() {
    let place = Place::empty();
    let forced = |name| {
        let mut command = place.command(&["status"]);
        command.env("CLICOLOR_FORCE", "1").env(name, "1");
        Ended::new(command.output().unwrap()).stderr
    };
    assert!(forced("OTHER").contains('\u{1b}'), "nothing is coloured, so this shows nothing");
    assert!(!forced("NO_COLOR").contains('\u{1b}'));
    assert!(!place.run(&["status"]).stderr.contains('\u{1b}'));
}

#[cfg(feature = "service")]
mod on_the_server {
    use super::*;

    const SERVER: &str = r#"
        schema = 1
        public-url = "https://deploy.example.com"
        data = "data"
        [github]
        token = { env = "NOT_SET_ANYWHERE" }
        webhook-secrets = [{ env = "NOT_SET_EITHER" }]
        [hosts.a]
        docker = "unix:///nowhere/docker.sock"
        [projects."acme/shop".stages.production]
    "#;

    #[test]
    fn a_token_is_shown_once_and_can_be_ended() {
        let place = Place::empty().file("windlass-server.toml", SERVER);
        let arguments = ["token", "create", "--name", "anna", "--scopes", "read,deploy", "--json"];
        let created = place.run(&arguments).with(0).json();
        let token = created["token"].as_str().unwrap();
        assert_eq!(created["scopes"], serde_json::json!(["read", "deploy"]));
        let listed = place.run(&["token", "list", "--json"]).with(0);
        assert!(!listed.stdout.contains(token), "{listed:?}");
        assert_eq!(listed.json()[0]["name"], "anna");
        place.run(&["token", "revoke", "1"]).with(0);
        place.run(&["token", "revoke", "1"]).with(1).saying("no token 1");
        place
            .run(&["token", "create", "--name", "x", "--scopes", "all"])
            .with(2)
            .saying("read, release, deploy or admin");
    }

    #[test]
    fn a_secret_that_is_missing_ends_the_service_with_2_and_its_name() {
        let place = Place::empty().file("windlass-server.toml", SERVER);
        place.run(&["serve"]).with(2).saying("NOT_SET_ANYWHERE").saying("NOT_SET_EITHER");
    }

    #[test]
    fn two_hosts_that_are_one_engine_end_the_service_with_2_and_both_names() {
        let (docker, other) = ("unix:///var/run/docker.sock", "unix:///var/run/../run/docker.sock");
        let text = SERVER
            .replace("[hosts.a]", &format!("[hosts.b]\ndocker = \"{other}\"\n[hosts.a]"))
            .replace("unix:///nowhere/docker.sock", docker)
            .replace("{ env = \"NOT_SET_ANYWHERE\" }", "{ file = \"secret\" }")
            .replace("{ env = \"NOT_SET_EITHER\" }", "{ file = \"secret\" }");
        let place = Place::empty().file("windlass-server.toml", &text).file("secret", "a secret");
        place.run(&["serve"]).with(2).saying("the hosts a and b of the server's file are one Docker Engine");
    }

    #[test]
    fn a_host_without_a_gateway_ends_the_gateway_with_2() {
        let place = Place::empty().file("windlass-server.toml", SERVER);
        place.run(&["gateway", "--host", "a"]).with(2).saying("[hosts.a.gateway]");
        place.run(&["gateway", "--host", "b"]).with(2).saying("no host b; it has a");
    }

    #[test]
    fn doctor_says_what_is_wrong_and_ends_with_1() {
        let place = Place::empty().file("windlass-server.toml", SERVER);
        let arguments =
            ["doctor", "--config", "windlass-server.toml", "--docker", "unix:///nowhere/docker.sock", "--json"];
        let findings = place.run(&arguments).with(1).json();
        let state = |name: &str| {
            let found = findings.as_array().unwrap().iter().find(|finding| finding["name"] == name);
            found.unwrap_or_else(|| panic!("{findings:#}"))["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state("Docker Engine"), "failed");
        assert_eq!(state("windlass-server.toml"), "ok");
        assert_eq!(state("secrets"), "failed");
        assert_eq!(state("server"), "skipped");
    }
}
