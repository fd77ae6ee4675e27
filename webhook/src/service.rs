//! The service's parts, wired: what every room works with. It does nothing by itself.

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_core::names::InstallationId;
use windlass_engine::Hosts;

use crate::at_work::AtWork;
use crate::certificates::Certificates;
use crate::config::Settings;
use crate::github::GitHub;
use crate::readiness;
use crate::sight::{Sights, Unseen};
use crate::store::Store;
use crate::wake::Wake;

/// Shared by the handlers and the background work.
pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) github: GitHub,
    pub(crate) hosts: Hosts,
    /// What they showed last.
    pub(crate) sights: Sights,
    /// Hosts that the store was not compared with yet.
    pub(crate) unseen: Unseen,
    /// What https names have, and what the gateways are told of it.
    pub(crate) certificates: Certificates,
    pub(crate) clock: Clock,
    pub(crate) installation: InstallationId,
    /// Names this process in leases.
    pub(crate) holder: String,
    /// Keys the fingerprints of secrets, and the tokens of jobs that sign in.
    pub(crate) installation_key: Vec<u8>,
    pub(crate) wake: Wake,
    /// Ends when the process is asked to.
    pub(crate) shutdown: CancellationToken,
    pub(crate) tracker: TaskTracker,
    pub(crate) at_work: AtWork,
    /// Wakes the runner of a deployment that somebody asked to cancel.
    pub(crate) cancelled: Notify,
    /// Whether writes succeed.
    pub(crate) readiness: readiness::WriteProbe,
}

/// Where the rooms get the time from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock;

impl Clock {
    #[expect(clippy::unused_self, reason = "whoever asks has been given a clock")]
    pub(crate) fn now(self) -> Timestamp {
        Timestamp::now()
    }
}
