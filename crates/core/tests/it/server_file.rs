//! What `windlass-server.toml` means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use windlass_core::config::{
    CertificateFiles, Checks, DockerEndpoint, GatewayTls, GitHubAuth, HostSelector, NoCi, NoCiThen, SERVER_REFERENCE,
    SecretSource, ServerConfig, StagePolicy, TriggerKind,
};
use windlass_core::quantity::Duration;

const SMALLEST: &str = r#"
schema = 1
public-url = "https://deploy.example.com/windlass/"
github = { token = { env = "GITHUB_TOKEN" }, webhook-secrets = [{ file = "/run/secrets/hook" }] }
hosts.a.docker = "unix:///var/run/docker.sock"

[projects."acme/shop".stages.production]
[projects."acme/shop".stages.staging]
branch = "develop"
"#;

fn parse(text: &str) -> ServerConfig {
    ServerConfig::parse("windlass-server.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn stage<'c>(config: &'c ServerConfig, name: &str) -> &'c StagePolicy {
    &config.projects[&"acme/shop".parse().unwrap()].stages[&name.parse().unwrap()]
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(SMALLEST);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public_url.as_str(), "https://deploy.example.com/windlass");
    assert_eq!(config.data, PathBuf::from("/var/lib/windlass"));
    assert_eq!(config.github.api_url.as_str(), "https://api.github.com/");
    assert_eq!(config.github.oidc_issuer.as_str(), "https://token.actions.githubusercontent.com/");
    assert_eq!(config.github.auth, GitHubAuth::Token(SecretSource::Env("GITHUB_TOKEN".to_owned())));
    assert_eq!(config.github.webhook_secrets, [SecretSource::File("/run/secrets/hook".into())]);
    let project = &config.projects[&"acme/shop".parse().unwrap()];
    assert_eq!((project.id, project.limits.scale, project.limits.memory), (None, 10, None));
    assert!(project.limits.urls.is_empty() && project.limits.volumes.is_empty());

    let production = stage(&config, "production");
    assert_eq!((production.branch.as_str(), production.keep, production.hosts.len()), ("main", 5, 0));
    assert_eq!(production.deploy_on, [TriggerKind::Merge]);
    assert_eq!(production.checks, Checks::Required);
    assert_eq!(production.no_ci, NoCi { wait: Duration::from_secs(300), then: NoCiThen::Deny, same_tree: true });
    assert_eq!(production.gate_timeout, Duration::from_secs(7200));
    assert_eq!(production.oidc.events, ["push", "workflow_dispatch"]);
    assert_eq!(production.oidc.refs, ["refs/heads/main"]);
    assert!(production.production && !production.transient && production.oidc.workflows.is_empty());
    assert!(!stage(&config, "staging").production && production.comment);
    assert_eq!(stage(&config, "staging").oidc.refs, ["refs/heads/develop"]);
}

#[test]
fn a_stage_may_want_no_comment_on_its_pull_requests() {
    let config = parse(&SMALLEST.replace("stages.staging]", "stages.staging]\ncomment = false"));
    assert!(stage(&config, "production").comment && !stage(&config, "staging").comment);
}

#[test]
fn the_reference_is_read_whole() {
    let config = parse(SERVER_REFERENCE);
    assert!(matches!(config.github.auth, GitHubAuth::App { id: 1, private_key: SecretSource::File(_) }));
    assert_eq!(config.registries["ghcr.io"].username, "bot");
    let docker = |name: &str| config.hosts[&name.parse().unwrap()].docker.clone();
    assert_eq!(docker("a"), DockerEndpoint::Unix("/var/run/docker.sock".into()));
    assert!(matches!(docker("b"), DockerEndpoint::Ssh { url, .. } if url.as_str() == "ssh://deploy@b.example.com"));
    assert!(matches!(docker("c"), DockerEndpoint::Tcp { url, .. } if url.port() == Some(2376)));
    let gateway = config.hosts[&"a".parse().unwrap()].gateway.clone().unwrap();
    assert_eq!((gateway.http.port(), gateway.https.unwrap().port()), (80, 443));
    let production = stage(&config, "production");
    assert_eq!(production.hosts, [HostSelector::Label("web".to_owned()), HostSelector::Name("b".parse().unwrap())]);
    assert_eq!(production.secrets.len(), 3);
}

#[test]
fn empty_and_named_are_kept_apart_from_left_out() {
    let config = parse(&format!(
        "{SMALLEST}deploy-on = []\nchecks = [\"test\", \"lint\"]\nno-ci.then = \"allow\"\noidc.events = []\n"
    ));
    let staging = stage(&config, "staging");
    assert!(staging.deploy_on.is_empty() && staging.oidc.events.is_empty());
    assert_eq!(staging.checks, Checks::Named(vec!["test".to_owned(), "lint".to_owned()]));
    assert_eq!((staging.no_ci.then, staging.no_ci.same_tree), (NoCiThen::Allow, true));
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let with = |url: &str| SMALLEST.replace("https://deploy.example.com/windlass/", url);
    for url in ["http://localhost:8080", "http://127.1.2.3:1", "http://[::1]:80", "http://a.localhost"] {
        parse(&with(url));
    }
    for url in ["http://deploy.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://[::2]"] {
        assert!(ServerConfig::parse("a", &with(url)).is_err(), "{url}");
    }
}

#[test]
fn gateways_may_share_ports_and_sockets_on_different_machines_only() {
    let with = |second: &str| {
        let hosts = format!(
            "hosts.a = {{ docker = \"unix:///a\", gateway = {{ http = \"0.0.0.0:80\", control = \"/run/g.sock\" }} }}\nhosts.b = {second}"
        );
        ServerConfig::parse("a", &SMALLEST.replace("hosts.a.docker = \"unix:///var/run/docker.sock\"", &hosts))
    };
    let ssh = r#"{ docker = "ssh://u@b", ssh = { key = "k", known-hosts = "h" }, gateway = { http = "0.0.0.0:80", control = "/run/g.sock" } }"#;
    assert!(with(ssh).is_ok());
    assert!(with(r#"{ docker = "unix:///a", gateway = { http = "0.0.0.0:81", control = "/run/h.sock" } }"#).is_ok());
    assert!(with(r#"{ docker = "unix:///a", gateway = { http = "127.0.0.1:80", control = "/run/h.sock" } }"#).is_err());
    assert!(with(r#"{ docker = "unix:///b", gateway = { http = "0.0.0.0:81", control = "/run/g.sock" } }"#).is_err());
}

#[test]
fn another_proxy_ends_tls_where_the_host_or_its_gateway_says_so() {
    let tls = |host: &str, gateway: &str| {
        let gateway = format!("{{ http = \"0.0.0.0:80\", control = \"/run/g.sock\"{gateway} }}");
        let host = format!("hosts.a = {{ docker = \"unix:///a\", gateway = {gateway}{host} }}");
        let text = SMALLEST.replace("hosts.a.docker = \"unix:///var/run/docker.sock\"", &host);
        parse(&text).hosts.into_values().next().unwrap().gateway.unwrap().tls
    };
    assert_eq!(tls("", ""), GatewayTls::Here(BTreeMap::new()));
    assert_eq!(tls(", tls = \"upstream\"", ""), GatewayTls::Upstream);
    assert_eq!(tls("", ", tls = \"upstream\""), GatewayTls::Upstream);
    let files = CertificateFiles { cert: "/a.pem".into(), key: "/a.key".into() };
    let named = tls("", ", tls = { \"Shop.Example.com\" = { cert = \"/a.pem\", key = \"/a.key\" } }");
    assert_eq!(named, GatewayTls::Here(BTreeMap::from([("shop.example.com".to_owned(), files)])));
}
