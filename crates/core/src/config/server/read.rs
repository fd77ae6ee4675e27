//! From the file's text to what the installation allows.

use std::path::PathBuf;

use url::Url;

use super::ServerConfig;
use super::acme::read_acme;
use super::github::{read_github, read_registries};
use super::host::{Hosts, read_hosts};
use super::keep::read_keep;
use super::project::read_projects;
use crate::config::ConfigError;
use crate::config::reader::{self, ConfigItem, Table, expect_schema, is_loopback, web_url};

const FILE: &[&str] =
    &["schema", "listen", "public-url", "data", "github", "registries", "hosts", "projects", "keep", "acme"];

/// The known keys by table, `*` for any name.
#[cfg(test)]
pub(in crate::config) const SECTIONS: &[(&str, &[&[&str]])] = &[
    ("", &[FILE]),
    ("github", &[super::github::GITHUB]),
    ("registries.*", &[super::github::REGISTRY]),
    ("keep", &[super::keep::KEEP]),
    ("hosts.*", &[super::host::HOST]),
    ("hosts.*.ssh", &[super::host::SSH]),
    ("hosts.*.tls", &[super::host::TLS]),
    ("hosts.*.gateway", &[super::gateway::GATEWAY]),
    ("hosts.*.gateway.tls.*", &[super::gateway::CERTIFICATE]),
    ("hosts.*.gateway.access-log", &[super::gateway::ACCESS_LOG]),
    ("hosts.*.gateway.limits", &[super::gateway::LIMITS]),
    ("acme", &[super::acme::ACME]),
    ("acme.external-account", &[super::acme::EXTERNAL_ACCOUNT]),
    ("acme.dns", &[super::acme::DNS]),
    ("projects.*", &[super::project::PROJECT]),
    ("projects.*.limits", &[super::project::LIMITS]),
    ("projects.*.stages.*", &[super::project::STAGE]),
    ("projects.*.stages.*.no-ci", &[super::project::NO_CI]),
    ("projects.*.stages.*.oidc", &[super::project::OIDC]),
    ("projects.*.stages.*.secrets.*", &[super::secret::SECRET]),
];

pub(super) fn read(file_name: &str, text: &str) -> Result<ServerConfig, ConfigError> {
    reader::read(file_name, text, |reader, root| {
        let file = ConfigItem { reader, node: root }.table(&[FILE])?;
        expect_schema(&file);
        let listen = file.get("listen").and_then(socket_address).unwrap_or(([127, 0, 0, 1], 8080).into());
        let public_url = public_url(&file);
        let data =
            file.get("data").and_then(|data| data.text()).map_or_else(|| "/var/lib/windlass".into(), PathBuf::from);
        let github = file
            .require("github", "add `[github]` with how to sign in to GitHub and the webhook's secrets")
            .and_then(read_github);
        let registries = file.get("registries").map(read_registries).unwrap_or_default();
        let Hosts { hosts, known } = file
            .require(
                "hosts",
                "add `[hosts.NAME]` with a Docker Engine, such as docker = \"unix:///var/run/docker.sock\"",
            )
            .map(read_hosts)
            .unwrap_or_default();
        let projects = file
            .require("projects", "add `[projects.\"owner/name\".stages.production]`")
            .map(|projects| read_projects(projects, &known))
            .unwrap_or_default();
        let keep = read_keep(file.get("keep"));
        let acme = file.get("acme").and_then(read_acme);
        let (public_url, github) = (public_url?, github?);
        Some(ServerConfig { listen, public_url, data, github, registries, hosts, projects, keep, acme })
    })
}

/// An IP address and a port.
pub(super) fn socket_address(item: ConfigItem<'_>) -> Option<std::net::SocketAddr> {
    let text = item.string()?;
    let address = text.parse().ok();
    if address.is_none() {
        let hint = "write an IP address and a port: 127.0.0.1:8080, 0.0.0.0:80 or [::]:80";
        item.refuse(format!("`{text}` is not an address to listen at"), hint);
    }
    address
}

fn public_url(file: &Table<'_>) -> Option<Url> {
    let hint = "write the address under which GitHub and people reach this service, such as https://deploy.example.com";
    let mut url = safe_url(file.require("public-url", hint)?)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// An address that tokens may be sent to.
pub(super) fn safe_url(item: ConfigItem<'_>) -> Option<Url> {
    let url = web_url(item)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        item.refuse(
            "plain http would send tokens readable through the network",
            "write https://…; plain http is for this machine only (localhost, 127.0.0.1)",
        );
        return None;
    }
    Some(url)
}
