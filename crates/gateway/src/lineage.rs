//! What gateways that follow one another say to each other, and what one knows of those that it has followed.

mod predecessors;
pub(crate) mod wire;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use windlass_core::gateway::{Challenge, ServiceKey, ServiceSpec, SetMaintenance};
use windlass_core::quantity::Duration;

pub(crate) use predecessors::Predecessors;

/// Who comes to the door, and the first thing that is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Visitor {
    /// Wants to serve instead.
    Successor {
        /// For the log.
        version: String,
    },
    /// Was followed, and still has something under way.
    Predecessor {
        /// What that is.
        report: Report,
    },
}

/// What a successor gets, before one socket for each that listens.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Offer {
    /// For the log.
    pub(crate) version: String,
    /// What each of the sockets is for, in their order. What a successor does not know it closes.
    pub(crate) sockets: Vec<String>,
    /// Targets that finish what they have.
    pub(crate) drains: Vec<DrainLeft>,
    /// What earlier drains have cut, for whoever asks late.
    pub(crate) cuts: Vec<CutBefore>,
    /// Targets that failed their probes, and how.
    pub(crate) unhealthy: Vec<Ill>,
    /// What an authority may ask for.
    pub(crate) challenges: Vec<Challenge>,
    /// How many earlier ones still have something under way. They come to the successor's door by themselves.
    pub(crate) predecessors: usize,
}

impl Order {
    /// This one is as follows now.
    pub(crate) fn serve(service: ServiceSpec) -> Self {
        Self { services: vec![service], ..Self::default() }
    }

    /// This one is not served any more.
    pub(crate) fn forget(key: ServiceKey) -> Self {
        Self { gone: vec![key], ..Self::default() }
    }

    /// This one is kept from its clients, or is not any more.
    pub(crate) fn maintain(said: SetMaintenance) -> Self {
        Self { maintenance: vec![said], ..Self::default() }
    }

    /// This is what an authority may ask for.
    pub(crate) fn answer(challenges: Vec<Challenge>) -> Self {
        Self { challenges: Some(challenges), ..Self::default() }
    }
}

impl Offer {
    pub(crate) fn new(sockets: Vec<String>, predecessors: usize) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), sockets, predecessors, ..Self::default() }
    }
}

/// Which target is meant, in whichever process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    pub(crate) key: ServiceKey,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// A drain that goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DrainLeft {
    pub(crate) target: Whereabouts,
    /// So much of its time is left.
    pub(crate) left: Duration,
}

/// A drain that is over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CutBefore {
    pub(crate) key: ServiceKey,
    pub(crate) name: String,
    pub(crate) requests: u64,
}

/// A target that is not healthy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ill {
    pub(crate) target: Whereabouts,
    /// What its last probe was answered.
    pub(crate) answer: String,
}

/// What is said until the socket is the successor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// The successor's: it accepts, and whoever opens the control socket gets it.
    Serving,
    /// The predecessor's: from now on it changes nothing but on the successor's word.
    Yours,
}

/// What a successor has its predecessor do. All of it can be done again.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Order {
    pub(crate) number: u64,
    /// These are as follows now, the others as before.
    pub(crate) services: Vec<ServiceSpec>,
    /// These are not served any more.
    pub(crate) gone: Vec<ServiceKey>,
    /// These are kept from their clients now, or are not any more.
    pub(crate) maintenance: Vec<SetMaintenance>,
    /// What an authority may ask for now; `None`: what it was before.
    pub(crate) challenges: Option<Vec<Challenge>>,
    /// Closes whatever is under way to it.
    pub(crate) cut: Option<Whereabouts>,
}

/// What a predecessor still has under way.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// The newest order that was carried out,
    pub(crate) obeyed: u64,
    /// and how many requests that has cut.
    pub(crate) cut: u64,
    /// The targets that are still sent to.
    pub(crate) under_way: Vec<UnderWay>,
}

/// Requests to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    pub(crate) target: Whereabouts,
    pub(crate) requests: u64,
}
