//! What can go wrong between Windlass and an engine or a gateway. What goes wrong with a deployment is a
//! [`Failure`]; [`EngineError::into_failure`] turns one into the other.

use std::path::PathBuf;

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::hint::Hint;
use windlass_core::names::HostName;
use windlass_core::problem::Problem;

/// An engine did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Its address is of a kind that is not there yet.
    #[error("host {host}: the Docker Engine at {endpoint} cannot be reached by this version of Windlass")]
    Unsupported { host: HostName, endpoint: String },
    /// It does not answer.
    #[error("host {host}: the Docker Engine at {endpoint} does not answer: {reason}")]
    Unreachable {
        host: HostName,
        endpoint: String,
        /// In the words of the connection.
        reason: String,
    },
    /// It answered, but not as hoped.
    #[error("host {host}: could not {action}: {reason}")]
    Refused {
        host: HostName,
        /// What was asked, as in "could not …".
        action: String,
        /// The answer's HTTP status, where there was one.
        status: Option<u16>,
        /// In the engine's words.
        reason: String,
    },
    /// There is no such container.
    #[error("host {host} has no container {name}")]
    NoContainer { host: HostName, name: String },
    /// What it would mount is not what it is called, or may become something else.
    #[error("host {host}: {path} cannot be mounted: {reason}")]
    Mount {
        host: HostName,
        /// What should be mounted.
        path: String,
        /// Which part of it is what.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The image has no such program, or it cannot be run.
    #[error("host {host}: the image cannot run `{program}`: {reason}")]
    Program {
        host: HostName,
        /// As the command has it.
        program: String,
        /// In the system's words.
        reason: String,
    },
    /// It is another host's engine.
    #[error("the hosts {} and {} of the server's file are one Docker Engine: both answer as {id}", host.min(other), host.max(other))]
    SameEngine {
        /// The host that is not used.
        host: HostName,
        /// The host that answered first.
        other: HostName,
        /// As the engine calls itself.
        id: String,
    },
    /// There is one, but it is not ours.
    #[error("container {name} on host {host} was not made by this installation")]
    Foreign { host: HostName, name: String },
}

impl EngineError {
    /// As the end of a step: an engine that does not answer says so, everything else gets the step's own code.
    #[must_use]
    pub fn into_failure(self, code: FailureCode) -> Failure {
        let code = match self {
            Self::Unsupported { .. } | Self::Unreachable { .. } | Self::SameEngine { .. } => {
                FailureCode::HostUnreachable
            }
            Self::Mount { .. }
            | Self::Program { .. }
            | Self::Refused { .. }
            | Self::NoContainer { .. }
            | Self::Foreign { .. } => code,
        };
        let failure = Failure::new(code, self.to_string());
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    pub(crate) const fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { *status } else { None }
    }
}

impl Hint for EngineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { host, .. } => Some(format!(
                "give [hosts.{host}] a Unix socket, docker = \"unix:///var/run/docker.sock\", and run Windlass on that machine"
            )),
            Self::Unreachable { host, endpoint, .. } => Some(format!(
                "is Docker running, is `docker` of [hosts.{host}] right, and may this user open {endpoint}?"
            )),
            Self::Mount { remedy, .. } => Some(remedy.clone()),
            Self::Program { .. } => Some(
                "`command` stands in the place of the image's CMD, behind its ENTRYPOINT: name a program that the image \
                 has, by its whole path; what needs a shell is [\"sh\", \"-c\", \"…\"], if the image has one"
                    .to_owned(),
            ),
            Self::SameEngine { host, other, .. } => Some(format!(
                "leave [hosts.{other}] or [hosts.{host}] out; if they are two machines, one is a copy of the other: remove \
                 Docker's own id there, /var/lib/docker/engine-id (/etc/docker/key.json with older versions), and restart it"
            )),
            Self::Foreign { name, .. } => Some(format!("rename or remove {name} by hand if nobody needs it")),
            Self::Refused { .. } | Self::NoContainer { .. } => None,
        }
    }
}

/// A gateway did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Nobody answers on its socket.
    #[error("no gateway answers on {socket}: {reason}", socket = socket.display())]
    Unreachable {
        socket: PathBuf,
        /// In the words of the connection.
        reason: String,
    },
    /// It took the request and did not answer in time.
    #[error("the gateway on {socket} gave no answer to {request} within {seconds}s", socket = socket.display())]
    Silent {
        socket: PathBuf,
        request: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It said no.
    #[error("the gateway refused: {0}")]
    Refused(Problem),
    /// It said something that this version does not understand.
    #[error("the answer of {socket} to {request} is not a gateway's: {reason}", socket = socket.display())]
    Garbled {
        socket: PathBuf,
        request: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl GatewayError {
    /// As the end of a step: a gateway that does not answer says so, everything else gets the step's own code.
    #[must_use]
    pub fn into_failure(self, host: &HostName, code: FailureCode) -> Failure {
        let code = match self {
            Self::Unreachable { .. } | Self::Silent { .. } => FailureCode::HostUnreachable,
            Self::Refused(_) | Self::Garbled { .. } => code,
        };
        let failure = Failure::new(code, format!("host {host}: {self}"));
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl Hint for GatewayError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => Some(
                "is `windlass gateway` running on that host, with the same `gateway.control` in the server's file?"
                    .to_owned(),
            ),
            Self::Refused(problem) => problem.hint.clone(),
            Self::Garbled { .. } => Some("are the service and the gateway of the same version?".to_owned()),
        }
    }
}
