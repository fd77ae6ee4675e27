//! Containers and networks as the API shows them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::container::{Container, HealthLog, Status};
use super::image::Image;
use super::model::{Event, Model};
use super::network::Network;

/// Docker's "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

/// One of a list.
pub(super) fn summary(model: &Model, container: &Container) -> Value {
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": container.body["Image"],
        "ImageID": container.image_id,
        "Command": container.command.as_deref().unwrap_or_default().join(" "),
        "Created": container.created.as_second(),
        "Ports": [],
        "Labels": container.labels,
        "State": container.status.as_str(),
        "Status": container.status.as_str(),
        "HostConfig": { "NetworkMode": network_mode(container) },
        "NetworkSettings": { "Networks": networks(model, container) },
        "Mounts": mounts(container),
    })
}

/// Everything about one.
pub(super) fn inspected(model: &Model, container: &Container) -> Value {
    let mut config = container.body.as_object().cloned().unwrap_or_default();
    config.remove("HostConfig");
    config.remove("NetworkingConfig");
    let mut host = container.body["HostConfig"].as_object().cloned().unwrap_or_default();
    host.insert("RestartPolicy".to_owned(), json!({ "Name": container.restart.as_str(), "MaximumRetryCount": 0 }));
    host.insert("NetworkMode".to_owned(), network_mode(container).into());
    json!({
        "Id": container.id,
        "Created": container.created.to_string(),
        "Path": container.command.as_ref().and_then(|words| words.first()).map_or("/app", String::as_str),
        "Args": container.command.as_deref().and_then(|words| words.get(1..)).unwrap_or_default(),
        "State": state(container),
        "Image": container.image_id,
        "Name": format!("/{}", container.name),
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "Mounts": mounts(container),
        "Config": config,
        "HostConfig": host,
        "NetworkSettings": { "Networks": networks(model, container) },
    })
}

fn state(container: &Container) -> Value {
    let pid = if container.status == Status::Running { 4242 } else { 0 };
    let mut state = json!({
        "Status": container.status.as_str(),
        "Running": container.is_running(),
        "Paused": false,
        "Restarting": container.status == Status::Restarting,
        "OOMKilled": false,
        "Dead": false,
        "Pid": pid,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": time(container.started),
        "FinishedAt": time(container.finished),
    });
    if let Some(shown) = container.health.as_ref().map(health) {
        state["Health"] = shown;
    }
    state
}

fn health(health: &HealthLog) -> Value {
    let result = |result: &super::container::CheckResult| {
        let at = result.at.to_string();
        json!({ "Start": at, "End": at, "ExitCode": result.code, "Output": result.output })
    };
    json!({
        "Status": health.status.as_str(),
        "FailingStreak": health.failing,
        "Log": health.log.iter().map(result).collect::<Vec<_>>(),
    })
}

fn network_mode(container: &Container) -> &str {
    container.endpoint.as_ref().map_or("default", |endpoint| &endpoint.network)
}

fn mounts(container: &Container) -> Vec<Value> {
    let asked = container.body["HostConfig"]["Mounts"].as_array().into_iter().flatten();
    let mounted = asked.map(|mount| {
        let read_only = mount["ReadOnly"].as_bool().unwrap_or_default();
        json!({
            "Type": mount["Type"],
            "Name": mount["Source"],
            "Source": mount["Source"],
            "Destination": mount["Target"],
            "RW": !read_only,
        })
    });
    mounted.collect()
}

/// By the network's name, once it is known.
fn networks(model: &Model, container: &Container) -> Value {
    let Some(endpoint) = &container.endpoint else { return json!({}) };
    let network = model.network(&endpoint.network);
    let name = network.map_or(endpoint.network.as_str(), |network| &network.name);
    let address = |address: Option<std::net::Ipv4Addr>| address.map(|it| it.to_string()).unwrap_or_default();
    let settings = json!({
        "IPAMConfig": endpoint.asked.map(|asked| json!({ "IPv4Address": asked.to_string() })),
        "Aliases": endpoint.aliases,
        "NetworkID": network.map(|network| network.id.as_str()).unwrap_or_default(),
        "EndpointID": if endpoint.address.is_some() { container.id.as_str() } else { "" },
        "Gateway": address(network.filter(|_| endpoint.address.is_some()).map(|network| network.subnet.gateway())),
        "IPAddress": address(endpoint.address),
        "IPPrefixLen": network.filter(|_| endpoint.address.is_some()).map_or(0, |network| network.subnet.prefix()),
    });
    Value::Object(Map::from_iter([(name.to_owned(), settings)]))
}

/// A network of a list; one alone shows its containers too.
pub(super) fn network(network: &Network) -> Value {
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.to_string(),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": false,
        "IPAM": {
            "Driver": "default",
            "Options": null,
            "Config": [{
                "Subnet": network.subnet.to_string(),
                "IPRange": network.range.map(|range| range.to_string()),
                "Gateway": network.subnet.gateway().to_string(),
            }],
        },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "Containers": {},
        "Options": {},
        "Labels": network.labels,
    })
}

pub(super) fn inspected_network(model: &Model, of: &Network) -> Value {
    let connected = model.connected(of).map(|(container, address)| {
        let shown = json!({
            "Name": container.name,
            "EndpointID": container.id,
            "MacAddress": "",
            "IPv4Address": format!("{address}/{}", of.subnet.prefix()),
            "IPv6Address": "",
        });
        (container.id.clone(), shown)
    });
    let connected = connected.collect::<Map<_, _>>();
    let mut shown = network(of);
    shown["Containers"] = connected.into();
    shown
}

pub(super) fn image(image: &Image) -> Value {
    let health_check = image.app.has_health_check.then(|| json!({ "Test": ["CMD", "/app", "health"] }));
    json!({
        "Id": image.id,
        "RepoTags": [],
        "RepoDigests": digests(image),
        "Parent": "",
        "Created": "2026-01-01T00:00:00Z",
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 1_000_000,
        "Config": { "Healthcheck": health_check, "Entrypoint": ["/app"], "Cmd": ["serve"], "Labels": {} },
    })
}

pub(super) fn image_summary(image: &Image) -> Value {
    json!({
        "Id": image.id,
        "ParentId": "",
        "RepoTags": [],
        "RepoDigests": digests(image),
        "Created": 1_767_225_600,
        "Size": 1_000_000,
        "SharedSize": -1,
        "Labels": {},
        "Containers": -1,
    })
}

fn digests(image: &Image) -> Vec<&str> {
    Some(image.reference.as_str()).filter(|reference| reference.contains('@')).into_iter().collect()
}

pub(super) fn event(event: &Event) -> Value {
    json!({
        "status": event.action,
        "id": event.container,
        "from": event.attributes.get("image"),
        "Type": "container",
        "Action": event.action,
        "Actor": { "ID": event.container, "Attributes": event.attributes },
        "scope": "local",
        "time": event.at.as_second(),
        "timeNano": i64::try_from(event.at.as_nanosecond()).unwrap_or(i64::MAX),
    })
}
