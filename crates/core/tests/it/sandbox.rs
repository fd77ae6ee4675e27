//! What surrounds a role's process: read, and held against the server's limits.

use std::collections::BTreeMap;

use windlass_core::config::{
    Limits, LogBound, ProjectConfig, ProjectFile, Sandbox, ServerConfig, ServerProject, Tmpfs, Ulimit,
};
use windlass_core::quantity::Memory;

const MIB: u64 = 1 << 20;

fn config(text: &str) -> ProjectConfig {
    let file = ProjectFile::parse("windlass.toml", &format!("schema = 1\nport = 3000\n{text}"));
    file.unwrap_or_else(|error| panic!("{error}")).resolve(&"production".parse().unwrap())
}

fn sandbox(text: &str) -> Sandbox {
    config(text).apps.into_values().next().unwrap().roles.into_values().next().unwrap().sandbox
}

fn limits(text: &str) -> Limits {
    let text = format!(
        "schema = 1\npublic-url = \"https://d.example.com\"\n[github]\ntoken = {{ env = \"T\" }}\nwebhook-secrets = \
         [{{ env = \"H\" }}]\n[hosts.a]\ndocker = \"unix:///var/run/docker.sock\"\n[projects.\"acme/shop\".stages.p]\n\
         [projects.\"acme/shop\".limits]\n{text}"
    );
    let server = ServerConfig::parse("server.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    server.projects.into_values().next().unwrap().limits
}

fn refusals(asked: &str, allowed: &str) -> Vec<String> {
    let project = ServerProject { id: None, limits: limits(allowed), stages: BTreeMap::new() };
    project.permits(&config(asked)).iter().map(ToString::to_string).collect()
}

#[test]
fn every_key_means_what_it_says() {
    let read = sandbox(
        r#"
        user = "1000:app"
        init = true
        read-only = true
        tmpfs = ["/tmp", "/run/:16m"]
        shm = "256m"
        networks = ["shop-db"]
        new-privileges = true
        capabilities = ["SYS_NICE", "NET_RAW", "SYS_NICE"]
        ulimits = { nofile = [1024, 65536], memlock = -1 }
        extra-hosts = { "db.internal" = "10.0.0.5", host = "host-gateway", six = "::1" }
        resources = { pids = 64 }
        log = { max-size = "1m", max-file = 2 }
        "#,
    );
    let tmpfs = |target: &str, mebibytes| Tmpfs { target: target.to_owned(), size: Memory(mebibytes * MIB) };
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let expected = Sandbox {
        user: Some("1000:app".to_owned()),
        init: true,
        read_only: true,
        tmpfs: vec![tmpfs("/tmp", 64), tmpfs("/run", 16)],
        shm: Some(Memory(256 * MIB)),
        ulimits: [("nofile", 1024, 65536), ("memlock", -1, -1)]
            .map(|(name, soft, hard)| (name.to_owned(), Ulimit { soft, hard }))
            .into(),
        extra_hosts: text(&[("db.internal", "10.0.0.5"), ("host", "host-gateway"), ("six", "::1")]),
        networks: vec!["shop-db".to_owned()],
        pids: Some(64),
        new_privileges: true,
        capabilities: vec!["NET_RAW".to_owned(), "SYS_NICE".to_owned()],
        drop_capabilities: Vec::new(),
        log: LogBound { max_size: Memory(MIB), max_file: 2 },
    };
    assert_eq!(read, expected);
    assert_eq!(sandbox(""), Sandbox::default());
}

#[test]
fn what_is_a_power_over_the_host_or_a_neighbour_needs_the_servers_word() {
    let asked = r#"
        new-privileges = true
        capabilities = ["SYS_ADMIN"]
        networks = ["neighbour"]
        ulimits = { nofile = 100000, memlock = -1 }
        resources = { pids = 5000 }
        log = { max-size = "1g", max-file = 3 }
        shm = "512m"
        tmpfs = ["/a:200m", "/b:100m"]
    "#;
    let role = |text: &str| format!("app `default`, role `web`: {text}");
    assert_eq!(
        refusals(asked, "memory = \"256m\"\nulimits = { nofile = 65536 }"),
        [
            "`resources.pids` is 5000, and the server allows 4096",
            "`shm` is 512m, and the server allows 256m",
            "`tmpfs` is 300m, and the server allows 256m",
            "`log` is 3g in all, and the server allows 100m",
            "`ulimits` is memlock = no bound, and the server allows none to be set",
            "`ulimits` is nofile = 100000, and the server allows 65536",
            "`new-privileges` lets programs gain privileges, which the server does not allow",
            "`capabilities` asks for SYS_ADMIN, which the server does not allow",
            "`networks` asks for neighbour, which the server does not allow",
        ]
        .map(role)
    );
    let allowed = "new-privileges = true\ncapabilities = [\"SYS_ADMIN\"]\nnetworks = [\"neighbour\"]\n\
                   ulimits = { nofile = 100000, memlock = -1 }\npids = 5000\nlog = \"3g\"";
    assert_eq!(refusals(asked, allowed), Vec::<String>::new());
}

#[test]
fn what_only_bounds_the_process_itself_needs_nobodys_word() {
    let asked = r#"
        user = "nobody"
        init = true
        read-only = true
        tmpfs = ["/tmp"]
        extra-hosts = { db = "host-gateway" }
        resources = { pids = 10 }
        log = { max-size = "1m", max-file = 1 }
    "#;
    assert_eq!(refusals(asked, ""), Vec::<String>::new());
}

#[test]
fn a_task_loses_what_the_server_drops_and_has_no_more_processes_than_it_allows() {
    let asked = Sandbox { capabilities: vec!["CHOWN".to_owned()], ..Sandbox::default() };
    let confined = limits("drop-capabilities = [\"ALL\"]").confine(&asked);
    assert_eq!((confined.pids, confined.drop_capabilities), (Some(4096), vec!["ALL".to_owned()]));
    assert_eq!(confined.capabilities, asked.capabilities);
    assert_eq!(limits("pids = 100").confine(&asked).pids, Some(100));
    // A limit that is raised for one app does not raise what the others have.
    assert_eq!(limits("pids = 30000").confine(&asked).pids, Some(4096));
    assert_eq!(limits("").confine(&Sandbox { pids: Some(7), ..asked }).pids, Some(7));
}

#[test]
fn variables_have_the_names_that_docker_allows() {
    let app = config("[env]\n\"discovery.type\" = \"single-node\"\nX-Y = \"1\"\n_a = \"2\"")
        .apps
        .into_values()
        .next()
        .unwrap();
    let names: Vec<&str> = app.env.keys().map(String::as_str).collect();
    assert_eq!(names, ["X-Y", "_a", "discovery.type"]);
}
