//! The server's file of a test's world.

use std::net::SocketAddr;
use std::path::Path;

use windlass_testing::github::FakeGitHub;

use super::{HOST, PROJECT, STAGE};

pub(super) fn server_config(
    folder: &Path,
    github: &FakeGitHub,
    repository: u64,
    (service, gateway): (SocketAddr, SocketAddr),
    docker: &Path,
    networks: Option<&str>,
    more: &str,
) -> String {
    let networks = networks.map(|networks| format!("networks = \"{networks}\"\n")).unwrap_or_default();
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"schema = 1
listen = "{service}"
public-url = "http://{service}"
data = "{data}"

[github]
api-url = "{api}"
token = {{ file = "{token}" }}
webhook-secrets = [{{ file = "{secret}" }}]
oidc-issuer = "{issuer}"

[hosts.a]
docker = "unix://{docker}"
{networks}gateway = {{ http = "{gateway}", control = "{control}" }}

[projects."{PROJECT}"]
id = {repository}
limits = {{ urls = ["{HOST}"], volumes = ["shop-data"], memory = "256m", cpu = 1.0 }}

[projects."{PROJECT}".stages.{STAGE}]
branch = "main"
deploy-on = ["merge"]
checks = "all"
secrets = {{ DATABASE_URL = {{ file = "{database}" }} }}

{more}
"#,
        data = path("data"),
        api = github.url(),
        issuer = github.oidc_issuer(),
        token = path("github-token"),
        secret = path("webhook-secret"),
        control = path("gateway.sock"),
        database = path("database-url"),
        docker = docker.display(),
    )
}
