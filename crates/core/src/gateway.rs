//! What the service and a gateway say to each other: JSON over HTTP on the gateway's Unix socket.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `POST /v1/prepare` | [`Prepare`] | 200 [`Prepared`] once all targets are healthy; 422 `unhealthy` after the deadline |
//! | `POST /v1/switch` | [`Switch`] | 200 [`Switched`] once the new targets have the traffic; old ones drain behind |
//! | `POST /v1/discard` | [`Discard`] | 204; forgets targets that were prepared and never switched to |
//! | `POST /v1/remove` | [`Remove`] | 204; the service's routes are gone |
//! | `POST /v1/drained` | [`AwaitDrained`] | 200 [`Drained`] when the last request has ended, or the drain's time is over |
//! | `POST /v1/ailing` | [`AwaitAiling`] | 200 [`TargetStatus`] of the first of them that is unhealthy; waits as long as none is |
//! | `POST /v1/certificates` | [`SetCertificates`] | 204; what is served by https from now on, the whole set |
//! | `POST /v1/challenges` | [`SetChallenges`] | 204; what an authority may ask for from now on, the whole set |
//! | `POST /v1/maintenance` | [`SetMaintenance`] | 204; an app is kept from its clients, or no more |
//! | `GET /v1/status` | | 200 [`GatewayStatus`] |
//!
//! Errors are [`crate::problem::Problem`]. A write of an older generation than the service has gets 409
//! `older_generation` and changes nothing; the same generation again is the same request again.

mod certificates;
mod maintenance;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{AppName, Generation, ReleaseNumber, RepositoryId, StageName};
use crate::quantity::Duration;

pub use certificates::{Certificate, CertificateSource, CertificateStatus, Challenge, SetCertificates, SetChallenges};
pub use maintenance::{Maintenance, MaintenanceStatus, SetMaintenance};

/// What stands for a name and its siblings: `a.shop.test` is one of `*.shop.test`.
#[must_use]
pub fn wildcard_of(name: &str) -> Option<String> {
    let (first, rest) = name.split_once('.')?;
    (!matches!(first, "" | "*") && !rest.is_empty()).then(|| format!("*.{rest}"))
}

/// What one set of routes belongs to: an app on a stage of a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ServiceKey(pub String);

impl ServiceKey {
    /// The key of a stage's app.
    #[must_use]
    pub fn new(project: RepositoryId, stage: &StageName, app: &AppName) -> Self {
        Self(format!("{project}/{stage}/{app}"))
    }

    /// The app's part of it.
    #[must_use]
    pub fn app(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, app)| app)
    }

    /// The project's part of it.
    #[must_use]
    pub fn project(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(project, _)| project)
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the gateway matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// The host name, lower-cased, without a port. `*.` at its beginning is any one name below the rest, `*` alone is any
    /// host. An exact name wins over `*.`, and that over `*`.
    pub host: String,
    /// The path's prefix, whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. `/` matches all.
    pub path: String,
    /// Scheme and host, such as `https://shop.example.com`, where all of it is redirected to. `None`: it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Whether the server's file gives its project only a part of the host: then whoever has the rest gets it. Otherwise
    /// what the project does not serve of the host is nobody's, also below another project's `*.` or `*`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares_host: bool,
    /// Whether its address is `https`: where the gateway ends TLS, what comes in the clear is sent there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub https: bool,
    /// Whether the app gets the path without the prefix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip_prefix: bool,
}

impl Route {
    /// One that is served, of a host that is its project's alone.
    #[must_use]
    pub fn new(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            path: path.into(),
            redirect: None,
            shares_host: false,
            https: false,
            strip_prefix: false,
        }
    }

    /// Whether it is of one host, not of many.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.host.starts_with('*')
    }

    /// Host and path, as people write them.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}{}", self.host, if self.path == "/" { "" } else { &self.path })
    }

    /// What no two services may have in common.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        (&self.host, &self.path)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.host, self.path)?;
        self.redirect.as_ref().map_or(Ok(()), |there| write!(formatter, " (to {there})"))
    }
}

/// Where it sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The task's container name.
    pub name: String,
    pub address: SocketAddr,
}

/// How the gateway asks a target whether it is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    /// Healthy is a 2xx answer to `GET` of this path. `None`: healthy is a connection that is accepted.
    pub path: Option<String>,
    /// How often once it is known; a new target is asked at once and then every 50 ms, backing off to this.
    pub interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// What happens to requests while a service has no target that may take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// How many wait at the most.
    pub requests: u32,
    /// How long each waits at the most.
    pub time: Duration,
}

/// All that a gateway knows of one app on one stage. Replaced whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub key: ServiceKey,
    /// Orders what is written about it.
    pub generation: Generation,
    /// The release that these targets run.
    pub release: ReleaseNumber,
    /// What is matched.
    pub routes: Vec<Route>,
    /// Where it is sent.
    pub targets: Vec<Target>,
    /// How their health is asked for.
    pub probe: Probe,
    /// How long requests of replaced targets may go on; then they are cut.
    pub drain: Duration,
    /// What happens to requests meanwhile.
    pub hold: Hold,
    /// Whether all its addresses are `https`: where the gateway does not end TLS, something in front of it does, even where
    /// that does not say so.
    #[serde(default)]
    pub https: bool,
    /// What its targets speak.
    #[serde(default)]
    pub protocol: AppProtocol,
    /// For so long browsers shall ask for it by https only (RFC 6797). `None`: they are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Duration>,
    /// The app's own pages of HTML for what the gateway has to say in its place, by status. `{request-id}` stands for the
    /// request's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<u16, String>,
}

crate::spelled! {
    "lowercase",
    /// What an app speaks to the gateway.
    #[derive(Default)]
    pub enum AppProtocol {
        /// HTTP/1.1.
        #[default]
        Http1,
        /// HTTP/2 in the clear, with prior knowledge (RFC 9113, section 3.3): gRPC.
        H2c,
    }
}

/// Start asking these targets for their health and answer when all are healthy. Changes no route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// What will be switched to.
    pub service: ServiceSpec,
    /// How long to wait at the most.
    pub deadline: Duration,
}

/// All targets are healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// How each target did, in the order given.
    pub targets: Vec<TargetStatus>,
}

/// Send the service's requests to these targets and to no other. Waits for their health first, unless they were
/// prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// What to switch to.
    pub service: ServiceSpec,
    /// How long to wait for health at the most.
    pub deadline: Duration,
    /// Switch at once, whatever their health: going back to targets that served a moment ago must not wait.
    #[serde(default)]
    pub unchecked: bool,
}

/// The traffic has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Names of the targets that now finish what they have.
    pub draining: Vec<String>,
}

/// Forget what was prepared for a generation and never switched to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discard {
    pub key: ServiceKey,
    /// Prepared for which generation.
    pub generation: Generation,
}

/// Take the service's routes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    pub key: ServiceKey,
    /// At least the generation that is there.
    pub generation: Generation,
}

/// Answer when none of these targets has a request any more, or when their drain's time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitDrained {
    pub key: ServiceKey,
    /// Names of the targets. Unknown ones count as drained.
    pub targets: Vec<String>,
}

/// Answer when one of these targets, which serve, is unhealthy: at once, or whenever it becomes so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitAiling {
    pub key: ServiceKey,
    /// Names of the targets.
    pub targets: Vec<String>,
    /// They are asked for their health at least so often meanwhile, however seldom their probe would ask.
    pub every: Duration,
}

/// The targets are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// How many requests were cut because the drain's time was over.
    pub cut: u64,
}

/// What a gateway knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The gateway's own version.
    pub version: String,
    /// What it routes.
    pub services: Vec<ServiceStatus>,
    /// What was taken away, and the generation of that: an older write does not bring it back.
    #[serde(default)]
    pub removed: BTreeMap<ServiceKey, Generation>,
    /// What its snapshot had and could not be read any more: it is not served until it is written anew.
    #[serde(default)]
    pub lost: Vec<ServiceKey>,
    /// What it shows to clients that come by https, by name. Empty where it does not end TLS.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// What it was told of apps that are not to be reached, those that are again included.
    #[serde(default)]
    pub maintenance: BTreeMap<ServiceKey, MaintenanceStatus>,
}

/// One service as a gateway has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub key: ServiceKey,
    /// The newest write it has taken.
    pub generation: Generation,
    /// The release that gets the traffic.
    pub release: ReleaseNumber,
    /// What is matched.
    pub routes: Vec<Route>,
    /// Its targets, those that drain or join included.
    pub targets: Vec<TargetStatus>,
}

/// One target as a gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// The task's container name.
    pub name: String,
    pub address: SocketAddr,
    pub state: TargetState,
    /// Requests under way, upgraded connections included.
    pub in_flight: u64,
    /// The last probe's answer, in words: `HTTP 503`, `HTTP 301 to https://…`, `connection refused`, `no answer within 5s`.
    pub last_probe: Option<String>,
}

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// Asked for its health; gets no requests yet.
    Joining,
    /// Gets requests.
    Healthy,
    /// Gets requests only when none is healthy.
    Unhealthy,
    /// Finishes what it has.
    Draining,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stands_for_each_name_that_is_right_below() {
        assert_eq!(wildcard_of("shop.example.com").as_deref(), Some("*.example.com"));
        for none in ["*.example.com", "localhost", ".com", "com."] {
            assert_eq!(wildcard_of(none), None, "{none}");
        }
    }
}
