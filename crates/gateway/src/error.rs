//! Why a gateway does not start, in words for whoever starts it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::handover::TakeOverError;
use crate::own_socket::Unbound;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port is not ours to take.
    #[error("cannot listen on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error(
        "something listens at {address} already, perhaps another gateway: a port has one gateway; stop that one, or choose \
         another address"
    )]
    AddressInUse { address: SocketAddr },
    /// There is one already.
    #[error("a gateway is running with the control socket {}; stop it, or give this one another path", path.display())]
    ControlInUse { path: PathBuf },
    /// There is one already, and it could not be followed.
    #[error("the gateway that runs did not hand over, and goes on if it lives: {source}; start this one again")]
    Handover {
        /// What went wrong between the two.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot open the control socket {}: {source}; check its folder's permissions", path.display())]
    Control {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot {}: {source}; check its permissions", path.display())]
    Snapshot {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no TLS without a place for certificates.
    #[error("cannot use the folder of certificates {}: {source}; check its permissions", path.display())]
    Certificates {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The access log is not to be had.
    #[error("cannot write the access log {}: {source}; check that its folder is there and open to this user", path.display())]
    AccessLog {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no more threads.
    #[error("cannot start a worker thread: {source}")]
    Worker {
        /// What the system said.
        source: io::Error,
    },
}

impl GatewayError {
    pub(crate) fn control(unbound: Unbound, path: PathBuf) -> Self {
        match unbound {
            Unbound::InUse => Self::ControlInUse { path },
            Unbound::Failed(source) => Self::Control { path, source },
        }
    }

    pub(crate) fn listen(address: SocketAddr) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { address },
            _ => Self::Listen { address, source },
        }
    }
}

impl From<TakeOverError> for GatewayError {
    fn from(error: TakeOverError) -> Self {
        match error {
            TakeOverError::Shut(path, source) => Self::Control { path, source },
            TakeOverError::Broken(source) => Self::Handover { source },
        }
    }
}
