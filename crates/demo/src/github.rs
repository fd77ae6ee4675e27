//! A GitHub of one's own: repositories, checks and deployments in memory, its REST API on a loopback port, its
//! webhooks delivered for real. What is in it is changed through [`FakeRepository`]'s verbs; what was asked of it, and
//! what it was told, is on record.

mod authorization;
mod changes;
mod conversation;
mod deliveries;
mod endpoints;
mod events;
mod exchange;
mod faults;
mod jobs;
mod json;
mod model;
mod oidc;
mod record;
mod registration;
mod repository;
mod server;
mod shared;
mod state;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use tokio::net::TcpSocket;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

pub use conversation::CommentRecord;
pub use deliveries::{Attempt, DeliveryRecord, deliver, sign};
pub use faults::Failure;
pub use jobs::{FakeJob, NewJob};
pub use oidc::Forgery;
pub use repository::{DeploymentRecord, FakeRepository, StatusRecord};
pub use shared::{RequestRecord, TimedOut};
pub use state::{CheckState, CommitState, Conclusion};

use model::Model;
use shared::{Hook, Shared};
use wire::Wire;

/// A GitHub to test against. It is gone when it is dropped.
pub struct FakeGitHub {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound and never listening: keeps the port ours while GitHub is down, and connections to it refused.
    _reservation: TcpSocket,
    power: Mutex<Option<Power>>,
    courier: AbortHandle,
}

struct Power {
    cut: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl FakeGitHub {
    /// The App's id, and its installation's.
    pub const APP_ID: u64 = json::app::APP_ID;
    /// The id of the App's installation, on every account there is.
    pub const INSTALLATION_ID: u64 = json::app::INSTALLATION_ID;

    /// A GitHub without repositories, up.
    ///
    /// # Panics
    ///
    /// When there is no loopback port to be had.
    pub async fn start() -> Self {
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reservation.local_addr().expect("a bound socket has an address");
        let (send, mut receive) = mpsc::unbounded_channel::<String>();
        let shared = Arc::new(Shared::new(Model::new(format!("http://{address}")), send));
        let deliverer = Arc::clone(&shared);
        let courier = tokio::spawn(async move {
            while let Some(guid) = receive.recv().await {
                deliverer.attempt(&guid).await;
            }
        });
        let power = Mutex::new(None);
        let github = Self { shared, address, _reservation: reservation, power, courier: courier.abort_handle() };
        github.come_up().await;
        github
    }

    /// Where its API is, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same where GitHub Enterprise Server has it.
    #[must_use]
    pub fn enterprise_url(&self) -> String {
        format!("{}{}", self.url(), server::ENTERPRISE)
    }

    /// A token that is good for everything except what only an App itself may ask.
    #[must_use]
    pub fn token(&self) -> &'static str {
        authorization::TOKEN
    }

    /// Makes a repository with one commit on `main`.
    #[must_use]
    pub fn add_repository(&self, full_name: &str) -> FakeRepository {
        let id = self.shared.model().add_repository(full_name);
        FakeRepository::new(Arc::clone(&self.shared), id)
    }

    /// The repository of that name, if there is one.
    #[must_use]
    pub fn repository(&self, full_name: &str) -> Option<FakeRepository> {
        let id = self.shared.model().find(full_name)?.id;
        Some(FakeRepository::new(Arc::clone(&self.shared), id))
    }

    /// Delivers what happens from now on to this address.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        self.shared.model().registration.set_hook(url, secret);
        self.shared.set_hook(Hook { url: url.to_owned(), secret: secret.to_owned() });
    }

    /// Delivers a `ping`, as GitHub does when a webhook is made.
    pub fn ping(&self) {
        if let Some(url) = self.shared.hook_url() {
            let event = events::ping(&url, &self.shared.model());
            self.shared.emit(event);
        }
    }

    /// Makes deliveries from now on and sends none: a test sends them itself, in any order, with
    /// [`redeliver`](Self::redeliver).
    pub fn hold_deliveries(&self) {
        self.shared.held.store(true, Ordering::Relaxed);
    }

    /// Delivers once more, under the same GUID. `None`: there is no such delivery, or no webhook.
    pub async fn redeliver(&self, guid: &str) -> Option<Attempt> {
        self.shared.attempt(guid).await
    }

    /// All that was delivered or is on its way, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<DeliveryRecord> {
        self.shared.deliveries()
    }

    /// The newest delivery that is as wanted, sent or not.
    #[must_use]
    pub fn newest_delivery(&self, wanted: impl Fn(&DeliveryRecord) -> bool) -> Option<DeliveryRecord> {
        self.shared.newest_delivery(wanted)
    }

    /// Waits until everything has been tried to deliver, and gives it.
    ///
    /// # Errors
    ///
    /// When something still was on its way by then.
    pub async fn until_delivered(&self, timeout: Duration) -> Result<Vec<DeliveryRecord>, TimedOut> {
        let all_tried = || {
            let deliveries = self.shared.deliveries();
            deliveries.iter().all(|it| !it.attempts.is_empty()).then_some(deliveries)
        };
        self.shared.until(timeout, all_tried).await.ok_or_else(|| TimedOut {
            what: "every delivery to be tried".to_owned(),
            waited: timeout,
            seen: format!(
                "{:?}",
                self.shared.deliveries().iter().map(|it| (&it.event, &it.attempts)).collect::<Vec<_>>()
            ),
        })
    }

    /// Every request that was answered, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.requests()
    }

    /// Waits for a request that has been answered.
    ///
    /// # Errors
    ///
    /// When none came in time.
    pub async fn until_request(
        &self,
        wanted: impl Fn(&RequestRecord) -> bool,
        timeout: Duration,
    ) -> Result<RequestRecord, TimedOut> {
        let look = || self.shared.requests().into_iter().find(&wanted);
        self.shared.until(timeout, look).await.ok_or_else(|| TimedOut {
            what: "a request".to_owned(),
            waited: timeout,
            seen: format!("{:?}", self.shared.requests()),
        })
    }

    /// Answers the next requests of this method to paths like this (`*` stands for any characters) with a failure.
    pub fn fail_next(&self, method: Method, pattern: &str, failure: Failure) {
        self.shared.faults().fail(method, pattern, failure);
    }

    /// Answers paths like this so much later, until [healed](Self::heal).
    pub fn delay(&self, pattern: &str, by: Duration) {
        self.shared.faults().delay(pattern, by);
    }

    /// Answers paths like this not at all, until [healed](Self::heal).
    pub fn hang(&self, pattern: &str) {
        self.shared.faults().hang(pattern);
    }

    /// Takes all faults back. What hangs is answered now.
    pub fn heal(&self) {
        *self.shared.faults() = faults::Faults::default();
        self.shared.healed.notify_waiters();
    }

    /// Makes every installation token that was given out a wrong one.
    pub fn expire_tokens(&self) {
        self.shared.model().tokens.clear();
    }

    /// Cuts all connections and refuses new ones. Webhooks are still delivered.
    pub async fn go_down(&self) {
        if let Some(power) = self.power.lock().await.take() {
            power.cut.cancel();
            // It ends with its last connection, and all have just been cut.
            let _ = power.serving.await;
        }
    }

    /// Listens again where it did, knowing what it knew.
    ///
    /// # Panics
    ///
    /// When the port it has reserved cannot be listened on.
    pub async fn come_up(&self) {
        let mut power = self.power.lock().await;
        if power.is_some() {
            return;
        }
        let listener = bind(self.address).listen(1024).expect("the port is reserved");
        let cut = CancellationToken::new();
        let router = server::router(&self.shared, cut.clone());
        let wire = Wire { listener, cut: cut.clone() };
        let serve = axum::serve(wire, router).with_graceful_shutdown(cut.clone().cancelled_owned());
        *power = Some(Power { cut, serving: tokio::spawn(async move { serve.await }) });
    }

    /// Ends it, and returns when it has ended.
    pub async fn stop(self) {
        self.go_down().await;
    }
}

impl Drop for FakeGitHub {
    fn drop(&mut self) {
        self.courier.abort();
        if let Some(power) = self.power.get_mut() {
            power.cut.cancel();
        }
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("sockets can be made");
    socket.set_reuseaddr(true).expect("an address can be shared");
    socket.bind(address).expect("a loopback port can be bound");
    socket
}
