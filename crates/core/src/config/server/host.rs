//! The Docker Engines and their gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::gateway::{collide, read_gateway, read_tls};
use super::{DockerEndpoint, GatewayListen, GatewayTls, HostConfig};
use crate::config::HostSelector;
use crate::config::reader::{ConfigItem, Table, label};
use crate::names::HostName;
use crate::subnet::Subnet;

pub(super) const HOST: &[&str] = &["docker", "ssh", "tls", "labels", "gateway", "networks"];
pub(super) const SSH: &[&str] = &["key", "known-hosts"];
pub(super) const TLS: &[&str] = &["ca", "cert", "key"];

#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) hosts: BTreeMap<HostName, HostConfig>,
    pub(super) known: Known,
}

/// What a selector may name, hosts with mistakes included.
#[derive(Debug, Default)]
pub(super) struct Known {
    names: BTreeSet<HostName>,
    labels: BTreeSet<String>,
}

impl Known {
    /// Reports a selector that selects no host.
    pub(super) fn check(&self, selector: &HostSelector, item: ConfigItem<'_>) {
        let message = match selector {
            HostSelector::Name(name) if !self.names.contains(name) => format!("there is no host `{name}`"),
            HostSelector::Label(label) if !self.labels.contains(label) => format!("no host has the label `{label}`"),
            HostSelector::Name(_) | HostSelector::Label(_) => return,
        };
        let names = self.names.iter().map(ToString::to_string);
        let labels = self.labels.iter().map(|label| format!("label:{label}"));
        let all: Vec<_> = names.chain(labels).collect();
        item.contradict(message, format!("known here: {}", all.join(", ")));
    }
}

pub(super) fn read_hosts(item: ConfigItem<'_>) -> Hosts {
    let mut read = Hosts::default();
    let mut gateways = Vec::new();
    let named = item.named::<HostName>();
    if item.is_empty_table() {
        item.contradict("there is no host", "add `[hosts.NAME]` with a Docker Engine");
    }
    for (name, item) in named {
        read.known.names.insert(name.clone());
        let Some(host) = item.table(&[HOST]) else { continue };
        let labels =
            host.get("labels").and_then(|list| list.list(|item| label(item.string()?, item))).unwrap_or_default();
        read.known.labels.extend(labels.iter().cloned());
        let docker = read_docker(&host);
        let gateway = host.get("gateway").and_then(read_gateway).map(|gateway| with_tls_of(&host, gateway));
        let networks = host.get("networks").and_then(read_pool).unwrap_or(Subnet::DEFAULT_POOL);
        let Some(docker) = docker else { continue };
        if let (Some(gateway), Some(item)) = (&gateway, host.get("gateway")) {
            gateways.push((name.clone(), docker.clone(), gateway.clone(), item));
        }
        read.hosts.insert(name, HostConfig { docker, labels, gateway, networks });
    }
    expect_room_for_each(&gateways);
    read
}

/// `tls = "upstream"` may stand with the host, too, where it is not for the engine.
fn with_tls_of(host: &Table<'_>, gateway: GatewayListen) -> GatewayListen {
    match host.get("tls").filter(|item| item.is_string()).and_then(read_tls) {
        Some(tls @ GatewayTls::Upstream) => GatewayListen { tls, ..gateway },
        _ => gateway,
    }
}

/// Small enough to be somebody's own, and large enough for a network.
fn read_pool(item: ConfigItem<'_>) -> Option<Subnet> {
    let text = item.text()?;
    let pool = text.parse::<Subnet>().ok().filter(|pool| pool.prefix() <= 24 && pool.to_string() == text);
    if pool.is_none() {
        item.refuse(
            format!("`{text}` is not a block of addresses for networks"),
            "write one that nothing else of yours uses, from /8 to /24, by its first address: 10.213.0.0/16",
        );
    }
    pool
}

fn read_docker(host: &Table<'_>) -> Option<DockerEndpoint> {
    let hint = "write docker = \"unix:///var/run/docker.sock\", \"ssh://user@host\" or \"tcp://host:2376\"";
    let docker = host.require("docker", hint)?;
    let text = docker.text()?;
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    for (key, wanted) in [("ssh", "ssh"), ("tls", "tcp")] {
        if scheme != wanted
            && matches!(scheme, "unix" | "ssh" | "tcp")
            && let Some(extra) = host.get(key).filter(|extra| !(key == "tls" && extra.is_string()))
        {
            extra.contradict(
                format!("`{key}` is for {wanted}:// only, and this engine is reached by {scheme}://"),
                "leave it out",
            );
        }
    }
    match scheme {
        "unix" if text.starts_with("unix:///") => Some(DockerEndpoint::Unix(text.trim_start_matches("unix://").into())),
        "ssh" => read_ssh(host, docker, text),
        "tcp" => read_tcp(host, docker, text),
        _ => {
            docker.refuse("this does not say how to reach a Docker Engine", hint);
            None
        }
    }
}

fn read_ssh(host: &Table<'_>, docker: ConfigItem<'_>, text: &str) -> Option<DockerEndpoint> {
    let url = Url::parse(text).ok().filter(|url| {
        let whole = url.host_str().is_some_and(|host| !host.is_empty()) && !url.username().is_empty();
        whole && url.password().is_none() && matches!(url.path(), "" | "/") && url.query().is_none()
    });
    if url.is_none() {
        docker.refuse(
            "this is not an address for SSH",
            "write ssh://user@host or ssh://user@host:22, without a password",
        );
    }
    let hint = "add ssh = { key = \"/run/secrets/id_ed25519\", known-hosts = \"/etc/windlass/known_hosts\" }";
    let ssh = host.require("ssh", hint)?.table(&[SSH])?;
    let (key, known_hosts) = (file(&ssh, "key", hint), file(&ssh, "known-hosts", hint));
    Some(DockerEndpoint::Ssh { url: url?, key: key?, known_hosts: known_hosts? })
}

fn read_tcp(host: &Table<'_>, docker: ConfigItem<'_>, text: &str) -> Option<DockerEndpoint> {
    let url = Url::parse(text).ok().filter(|url| {
        let whole = url.host_str().is_some_and(|host| !host.is_empty()) && url.port().is_some();
        whole && url.username().is_empty() && matches!(url.path(), "" | "/") && url.query().is_none()
    });
    if url.is_none() {
        docker.refuse("this is not an address with a port", "write tcp://host:2376");
    }
    let hint = "add tls = { ca = \"ca.pem\", cert = \"cert.pem\", key = \"key.pem\" }: an engine that is open to the network \
                gives its machine away";
    let tls = host.require("tls", hint)?.table(&[TLS])?;
    let (ca, cert, key) = (file(&tls, "ca", hint), file(&tls, "cert", hint), file(&tls, "key", hint));
    Some(DockerEndpoint::Tcp { url: url?, ca: ca?, cert: cert?, key: key? })
}

fn file(table: &Table<'_>, key: &str, hint: &str) -> Option<PathBuf> {
    table.require(key, hint)?.text().map(PathBuf::from)
}

type Gateway<'a> = (HostName, DockerEndpoint, GatewayListen, ConfigItem<'a>);

/// Two gateways on one machine need two sockets and two ports.
fn expect_room_for_each(gateways: &[Gateway<'_>]) {
    for (index, (_, docker, gateway, item)) in gateways.iter().enumerate() {
        for (other, other_docker, other_gateway, _) in &gateways[..index] {
            if machine(docker) != machine(other_docker) {
                continue;
            }
            if gateway.control == other_gateway.control {
                let message = format!("the gateway of host `{other}` has the same control socket");
                item.contradict(message, "give each gateway on a machine a socket of its own");
            }
            let taken = |address: &&SocketAddr| {
                std::iter::once(other_gateway.http).chain(other_gateway.https).any(|other| collide(**address, other))
            };
            if docker == other_docker
                && let Some(address) = std::iter::once(&gateway.http).chain(&gateway.https).find(taken)
            {
                let message = format!("the gateway of host `{other}` listens at {address} already");
                item.contradict(message, "give each gateway on a machine ports of its own");
            }
        }
    }
}

/// Which machine an engine is on, as far as the file tells.
fn machine(docker: &DockerEndpoint) -> Option<String> {
    match docker {
        DockerEndpoint::Unix(_) => None,
        DockerEndpoint::Ssh { url, .. } | DockerEndpoint::Tcp { url, .. } => url.host_str().map(str::to_owned),
    }
}
