//! A host's gateway: where it listens, what it speaks, and what clients may take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::read::socket_address;
use crate::config::reader::{ConfigItem, Table};
use crate::proxies::{TrustedProxies, TrustedProxy};
use crate::quantity::{Duration, Memory};

pub(super) const GATEWAY: &[&str] =
    &["http", "https", "tls", "control", "trusted-proxies", "proxy-protocol", "metrics", "access-log", "limits"];
pub(super) const CERTIFICATE: &[&str] = &["cert", "key"];
pub(super) const ACCESS_LOG: &[&str] = &["file", "format"];
pub(super) const LIMITS: &[&str] = &[
    "connections",
    "connections-per-address",
    "head",
    "head-time",
    "headers",
    "body",
    "body-rate",
    "idle",
    "request",
    "first-byte",
    "streams",
    "resets",
    "handover",
];

/// What one host's gateway is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayListen {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// With certificates; `None`: not at all.
    pub https: Option<SocketAddr>,
    /// Who ends TLS.
    pub tls: GatewayTls,
    /// The Unix socket that the service speaks to.
    pub control: PathBuf,
    /// Whose word about clients is taken.
    pub trusted_proxies: TrustedProxies,
    /// Whether the trusted proxies begin each connection with the PROXY protocol, version 1 or 2.
    pub proxy_protocol: bool,
    /// Where the numbers are to be had; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// `None`: requests are not logged.
    pub access_log: Option<AccessLog>,
    /// What clients may take.
    pub limits: GatewayLimits,
}

/// Who ends TLS for the apps whose addresses are `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayTls {
    /// The gateway, with these files for these host names (`*.` at the beginning is any one name below the rest), and with
    /// certificates of the authority's for the others.
    Here(BTreeMap<String, CertificateFiles>),
    /// Another proxy, which comes over plain HTTP.
    Upstream,
}

impl Default for GatewayTls {
    fn default() -> Self {
        Self::Here(BTreeMap::new())
    }
}

/// A certificate of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those that lead to its authority, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Where requests are written down, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// `None`: standard output.
    pub file: Option<PathBuf>,
    /// How a line looks.
    pub format: AccessLogFormat,
}

crate::spelled! {
    "snake_case",
    /// How a line of the access log looks.
    pub enum AccessLogFormat {
        /// One JSON object.
        Json,
        /// The combined log format of Apache and nginx.
        Combined,
    }
}

/// What clients may take, and how long they may take for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one address; `None`: half of all.
    pub connections_per_address: Option<u32>,
    /// The size of a request's head.
    pub head: Memory,
    /// From its first byte to its end.
    pub head_time: Duration,
    /// How many fields a head may have.
    pub headers: u32,
    /// The size of a request's body; `None`: as large as it likes.
    pub body: Option<Memory>,
    /// A second; who sends slower for half a minute is sent away.
    pub body_rate: Memory,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// From a request's head to the end of its answer; `None`: as long as it likes.
    pub request: Option<Duration>,
    /// From a request's end to the first byte of the app's answer.
    pub first_byte: Duration,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How many of these a client may take back before they are answered, until it is taken for an attack.
    pub resets: u32,
    /// How long a gateway that was followed by a newer one serves the connections that it still has.
    pub handover: Duration,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections: 16 * 1024,
            connections_per_address: None,
            head: Memory(64 << 10),
            head_time: Duration::from_secs(10),
            headers: 100,
            body: None,
            body_rate: Memory(1 << 10),
            idle: Duration::from_secs(65),
            request: None,
            first_byte: Duration::from_secs(300),
            streams: 128,
            resets: 20,
            handover: Duration::from_secs(3600),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn read_gateway(item: ConfigItem<'_>) -> Option<GatewayListen> {
    let gateway = item.table(&[GATEWAY])?;
    let http = gateway.require("http", "write http = \"0.0.0.0:80\"").and_then(socket_address);
    let https = gateway.get("https").and_then(socket_address);
    let control = gateway.require("control", "write control = \"/run/windlass/gateway.sock\"").and_then(|item| {
        let path = PathBuf::from(item.text()?);
        if !path.has_root() {
            item.refuse(
                "the control socket's path is not absolute",
                "begin it with `/`, such as /run/windlass/gateway.sock",
            );
        }
        Some(path)
    });
    let metrics = gateway.get("metrics").and_then(socket_address);
    let listens = [("http", http), ("https", https), ("metrics", metrics)];
    for (index, (name, address)) in listens.iter().enumerate() {
        let same = |(_, other): &&(&str, Option<SocketAddr>)| matches!((address, other), (Some(one), Some(other)) if collide(*one, *other));
        if let (Some(address), Some((other, _))) = (address, listens[..index].iter().find(same)) {
            let hint = "give each a port of its own, such as 80, 443 and 9090";
            item.contradict(format!("{other} and {name} both listen at {address}"), hint);
        }
    }
    let trusted_proxies: TrustedProxies =
        gateway.get("trusted-proxies").and_then(|list| list.list(proxy)).unwrap_or_default().into_iter().collect();
    let proxy_protocol = gateway.get("proxy-protocol").and_then(|item| item.boolean()).unwrap_or_default();
    if let (true, Some(item)) = (proxy_protocol && trusted_proxies.is_empty(), gateway.get("proxy-protocol")) {
        item.contradict(
            "there is no proxy whose word is taken",
            "name the addresses of those that speak the PROXY protocol in `trusted-proxies`",
        );
    }
    let tls = gateway.get("tls").and_then(read_tls).unwrap_or_default();
    Some(GatewayListen {
        http: http?,
        https,
        tls,
        control: control?,
        trusted_proxies,
        proxy_protocol,
        metrics,
        access_log: gateway.get("access-log").and_then(read_access_log),
        limits: read_limits(gateway.get("limits")),
    })
}

/// `"upstream"`, or files by host name.
pub(super) fn read_tls(item: ConfigItem<'_>) -> Option<GatewayTls> {
    if item.is_string() {
        return item.choice("way of TLS", &[("upstream", GatewayTls::Upstream)]);
    }
    let files = |(name, item): (&str, ConfigItem<'_>)| {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
            let hint = "write the name only, in quotes: \"shop.example.com\", or \"*.example.com\"".to_owned();
            item.refuse_key(format!("`{name}` is not a host name"), Some(hint));
        }
        let table = item.table(&[CERTIFICATE])?;
        let hint = "write { cert = \"/etc/windlass/shop.pem\", key = \"/etc/windlass/shop.key\" }";
        let file = |key: &str| table.require(key, hint).and_then(|item| item.text()).map(PathBuf::from);
        let (cert, key) = (file("cert"), file("key"));
        Some((name.to_ascii_lowercase(), CertificateFiles { cert: cert?, key: key? }))
    };
    Some(GatewayTls::Here(item.entries().into_iter().filter_map(files).collect()))
}

fn read_access_log(item: ConfigItem<'_>) -> Option<AccessLog> {
    let log = item.table(&[ACCESS_LOG])?;
    let file = log.get("file").and_then(|item| item.text()).map(PathBuf::from);
    let format = log.get("format").and_then(|item| item.spelled("format of the access log"));
    Some(AccessLog { file, format: format.unwrap_or(AccessLogFormat::Json) })
}

fn read_limits(item: Option<ConfigItem<'_>>) -> GatewayLimits {
    let default = GatewayLimits::default();
    let Some(limits) = item.and_then(|item| item.table(&[LIMITS])) else { return default };
    let number = |key: &str, default: u32| {
        limits.get(key).and_then(|item| item.integer::<u32>(1..=10_000_000)).unwrap_or(default)
    };
    GatewayLimits {
        connections: number("connections", default.connections),
        connections_per_address: limits
            .get("connections-per-address")
            .and_then(|item| item.integer::<u32>(1..=10_000_000)),
        head: memory_or(&limits, "head", default.head, Memory(8 << 10)),
        head_time: limits.duration_or("head-time", default.head_time, DAY),
        headers: number("headers", default.headers),
        body: limits.get("body").and_then(|item| item.memory("100m", Memory(1))),
        body_rate: memory_or(&limits, "body-rate", default.body_rate, Memory(1)),
        idle: limits.duration_or("idle", default.idle, DAY),
        request: limits.get("request").and_then(|item| item.duration("10m", DAY)),
        first_byte: limits.duration_or("first-byte", default.first_byte, DAY),
        streams: number("streams", default.streams),
        resets: number("resets", default.resets),
        handover: limits.duration_or("handover", default.handover, DAY),
    }
}

fn memory_or(table: &Table<'_>, key: &str, default: Memory, least: Memory) -> Memory {
    table.get(key).and_then(|item| item.memory(&default.to_string(), least)).unwrap_or(default)
}

fn proxy(item: ConfigItem<'_>) -> Option<TrustedProxy> {
    let text = item.text()?;
    let proxy = text.parse().ok();
    if proxy.is_none() {
        item.refuse(
            format!("`{text}` is no address of a proxy"),
            "write its IP address or a block of them, without a port: 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32; names are not \
             looked up",
        );
    }
    proxy
}

/// Whether two sockets cannot listen at these at once.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
