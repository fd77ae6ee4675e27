//! What the server refuses of a repository's file.

use windlass_core::config::{Limits, ProjectConfig, ProjectFile, Refusal, Resources, ServerProject, located};
use windlass_core::quantity::Memory;

fn project(urls: &[&str], volumes: &[&str]) -> ServerProject {
    let limits = Limits {
        urls: urls.iter().map(ToString::to_string).collect(),
        volumes: volumes.iter().map(ToString::to_string).collect(),
        ports: Vec::new(),
        memory: Some(Memory(1 << 30)),
        cpu: Some(2.0),
        scale: 3,
        ..Limits::default()
    };
    ServerProject { id: None, limits, stages: std::collections::BTreeMap::new() }
}

fn config(text: &str) -> ProjectConfig {
    ProjectFile::parse("windlass.toml", &format!("schema = 1\n{text}")).unwrap().resolve(&"production".parse().unwrap())
}

fn sentences(refusals: &[Refusal]) -> Vec<String> {
    refusals.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_over_a_limit_is_refused_in_a_sentence() {
    let text = r#"
        url = ["https://shop.example.com", "https://evil.example.org"]
        [roles.web]
        port = 3000
        scale = 4
        resources = { memory = "2g", cpu = 2.5 }
        volumes = ["data:/data", "/etc:/host"]
    "#;
    let refusals = project(&["shop.example.com"], &["data"]).permits(&config(text));
    assert_eq!(
        sentences(&refusals),
        [
            "app `default`: `url` has the host evil.example.org, which the server does not allow",
            "app `default`, role `web`: `scale` is 4, and the server allows 3",
            "app `default`, role `web`: `resources.memory` is 2g, and the server allows 1g",
            "app `default`, role `web`: `resources.cpu` is 2.5, and the server allows 2",
            "app `default`, role `web`: `volumes` mounts /etc, which the server does not allow",
        ]
    );
    assert_eq!(refusals[0].remedy, "add \"evil.example.org\" to the project's `limits.urls` in windlass-server.toml");
}

#[test]
fn what_is_within_the_limits_is_permitted() {
    let text = r#"
        url = ["https://a.example.com", "https://b.example.com/x"]
        scale = 3
        resources = { memory = "1g", cpu = 2 }
        volumes = ["data:/data", "/srv/app/files:/files"]
    "#;
    assert_eq!(project(&["*.example.com"], &["data", "/srv/app"]).permits(&config(text)), []);
}

#[test]
fn a_star_is_one_name_and_a_path_is_whole_segments() {
    let refused = |text: &str| project(&["*.example.com"], &["/srv/app", "data"]).permits(&config(text)).len();
    assert_eq!(refused("url = \"https://example.com\""), 1);
    assert_eq!(refused("url = \"https://a.b.example.com\""), 1);
    assert_eq!(refused("url = \"https://a.badexample.com\""), 1);
    assert_eq!(refused("port = 1\nvolumes = [\"/srv/app2:/x\", \"/srv:/y:ro\", \"data2:/z\", \"/:/w\"]"), 4);
}

#[test]
fn a_path_that_climbs_is_below_nothing_even_when_nobody_checked_it() {
    let mut config = config("port = 1\nvolumes = [\"/srv/app/x:/x\"]");
    for role in config.apps.values_mut().flat_map(|app| app.roles.values_mut()) {
        role.volumes[0].source = "/srv/app/../../etc".to_owned();
    }
    assert_eq!(project(&[], &["/srv/app"]).permits(&config).len(), 1);
}

#[test]
fn a_task_gets_what_it_asks_for_or_else_the_limit() {
    let limits = project(&[], &[]).limits;
    let capped = limits.cap(&Resources { memory: Some(Memory(1 << 20)), cpu: None });
    assert_eq!(capped, Resources { memory: Some(Memory(1 << 20)), cpu: Some(2.0) });
    let open = Limits { memory: None, cpu: None, ..limits };
    assert_eq!(open.cap(&Resources::default()), Resources::default());
}

#[test]
fn a_host_for_many_needs_the_same_word_from_the_server() {
    let refused = |allowed: &[&str], url: &str| {
        project(allowed, &[]).permits(&config(&format!("url = \"https://{url}\"\nport = 1"))).len()
    };
    for (allowed, url, expected) in [
        ("*.example.com", "*.example.com", 0),
        ("*.example.com", "*.shop.example.com", 1),
        ("shop.example.com", "*.shop.example.com", 1),
        ("*.shop.example.com", "*.shop.example.com", 0),
        ("*.example.com", "*", 1),
        ("*", "*", 0),
        ("*", "*.shop.example.com", 0),
        ("*", "shop.example.com", 0),
    ] {
        assert_eq!(refused(&[allowed], url), expected, "{allowed} for {url}");
    }
}

#[test]
fn a_name_that_only_redirects_needs_to_be_allowed_too() {
    let text = r#"
        url = "https://shop.example.com"
        redirect = ["www.example.org"]
    "#;
    let refusals = project(&["*.example.com"], &[]).permits(&config(text));
    let expected = "app `default`: `redirect` has the host www.example.org, which the server does not allow";
    assert_eq!(sentences(&refusals), [expected]);
}

#[test]
fn what_is_not_allowed_is_told_with_the_line_that_asks_for_it() {
    let text = r#"schema = 1
[apps.api]
resources = { pids = 9000 }
url = [
  "https://a.example.com",
  "https://b.example.org",
]
[apps.worker.roles.jobs]
command = ["jobs"]
capabilities = ["NET_ADMIN"]
scale = 9
[stages.production.apps.api]
volumes = ["/etc:/host"]
"#;
    let stage = "production".parse().unwrap();
    let config = ProjectFile::parse("windlass.toml", text).unwrap().resolve(&stage);
    let refusals = project(&["*.example.com"], &[]).permits(&config);
    let told = located("windlass.toml", text, &stage, &refusals);
    for expected in [
        "windlass.toml:6:3: app `api`: `url` has the host b.example.org, which the server does not allow",
        "windlass.toml:3:22: app `api`, role `web`: `resources.pids` is 9000, and the server allows 4096",
        "windlass.toml:13:12: app `api`, role `web`: `volumes` mounts /etc, which the server does not allow",
        "windlass.toml:11:9: app `worker`, role `jobs`: `scale` is 9, and the server allows 3",
        "windlass.toml:10:17: app `worker`, role `jobs`: `capabilities` asks for NET_ADMIN, which the server does not allow",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\n{told:#?}");
    }
    let unsaid = Refusal { key: "log", ..refusals[0].clone() };
    assert!(located("windlass.toml", text, &stage, &[unsaid])[0].starts_with("windlass.toml: app `api`"));
    let many = vec![refusals[0].clone(); 60];
    assert_eq!(located("windlass.toml", text, &stage, &many).last().unwrap(), "windlass.toml: and 10 more");
}
