//! What the server, the courier and the tests' handles share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Method;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, mpsc};

use super::deliveries::{Attempt, DeliveryRecord, LoggedAttempt, deliver};
use super::events::Event;
use super::faults::{Fault, Faults};
use super::jobs::FakeJob;
use super::model::Model;
use super::oidc::Keys;
use super::record::Recorder;

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    pub method: Method,
    /// Its path, as it was written.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// What it was answered with.
    pub status: u16,
}

/// What was waited for did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {waited:?} for {what}; there was {seen}")]
pub struct TimedOut {
    pub what: String,
    pub waited: Duration,
    /// What there was instead.
    pub seen: String,
}

pub(super) struct Hook {
    pub(super) url: String,
    pub(super) secret: String,
}

pub(super) struct Shared {
    model: Mutex<Model>,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<RequestRecord>>,
    hook: Mutex<Option<Hook>>,
    deliveries: Mutex<Vec<DeliveryRecord>>,
    /// Every attempt, oldest first.
    attempts: Mutex<Vec<LoggedAttempt>>,
    keys: Mutex<Keys>,
    /// By their check runs.
    jobs: Mutex<HashMap<u64, FakeJob>>,
    courier: mpsc::UnboundedSender<String>,
    /// Deliveries are made and not sent.
    pub(super) held: AtomicBool,
    pub(super) recorder: Recorder,
    /// Somebody may have seen something change.
    pub(super) changed: Notify,
    /// What hangs may go on.
    pub(super) healed: Notify,
}

impl Shared {
    pub(super) fn new(model: Model, courier: mpsc::UnboundedSender<String>) -> Self {
        Self {
            model: Mutex::new(model),
            faults: Mutex::default(),
            requests: Mutex::default(),
            hook: Mutex::default(),
            deliveries: Mutex::default(),
            attempts: Mutex::default(),
            keys: Mutex::default(),
            jobs: Mutex::default(),
            courier,
            held: AtomicBool::new(false),
            recorder: Recorder::from_environment(),
            changed: Notify::new(),
            healed: Notify::new(),
        }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        locked(&self.model)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        locked(&self.keys)
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, HashMap<u64, FakeJob>> {
        locked(&self.jobs)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    pub(super) fn strike(&self, method: &Method, path: &str) -> Vec<Fault> {
        self.faults().strike(method, path)
    }

    pub(super) fn record(&self, request: RequestRecord) {
        locked(&self.requests).push(request);
        self.changed.notify_waiters();
    }

    pub(super) fn requests(&self) -> Vec<RequestRecord> {
        locked(&self.requests).clone()
    }

    pub(super) fn set_hook(&self, hook: Hook) {
        *locked(&self.hook) = Some(hook);
    }

    pub(super) fn hook_url(&self) -> Option<String> {
        locked(&self.hook).as_ref().map(|hook| hook.url.clone())
    }

    /// Puts an event on its way. Without a webhook nobody is told, then or later.
    pub(super) fn emit(&self, event: Event) {
        if locked(&self.hook).is_none() {
            return;
        }
        self.recorder.delivery(&event);
        let mut deliveries = locked(&self.deliveries);
        let guid = guid(deliveries.len());
        deliveries.push(DeliveryRecord {
            guid: guid.clone(),
            event: event.name.to_owned(),
            action: event.payload["action"].as_str().map(str::to_owned),
            body: event.payload.to_string().into_bytes(),
            attempts: Vec::new(),
        });
        if !self.held.load(Ordering::Relaxed) {
            // The courier ends with the GitHub it belongs to.
            let _ = self.courier.send(guid);
        }
    }

    pub(super) fn deliveries(&self) -> Vec<DeliveryRecord> {
        locked(&self.deliveries).clone()
    }

    pub(super) fn newest_delivery(&self, wanted: impl Fn(&DeliveryRecord) -> bool) -> Option<DeliveryRecord> {
        locked(&self.deliveries).iter().rev().find(|it| wanted(it)).cloned()
    }

    /// One attempt at a delivery, recorded. `None`: there is no such delivery, or nobody to deliver it to.
    pub(super) async fn attempt(&self, guid: &str) -> Option<Attempt> {
        let delivery = locked(&self.deliveries).iter().find(|it| it.guid == guid).cloned()?;
        let (url, secret) = locked(&self.hook).as_ref().map(|hook| (hook.url.clone(), hook.secret.clone()))?;
        let at = jiff::Timestamp::now();
        let attempt = deliver(&url, &secret, &delivery.event, guid, &delivery.body).await;
        let id = self.model().new_id();
        let redelivery = !delivery.attempts.is_empty();
        locked(&self.attempts).push(LoggedAttempt { id, at, redelivery, delivery, result: attempt.clone() });
        if let Some(it) = locked(&self.deliveries).iter_mut().find(|it| it.guid == guid) {
            it.attempts.push(attempt.clone());
        }
        self.changed.notify_waiters();
        Some(attempt)
    }

    /// Every attempt at every delivery, oldest first.
    pub(super) fn attempts(&self) -> Vec<LoggedAttempt> {
        locked(&self.attempts).clone()
    }

    /// Puts a delivery on its way once more.
    pub(super) fn deliver_again(&self, guid: &str) {
        // The courier ends with the GitHub it belongs to.
        let _ = self.courier.send(guid.to_owned());
    }

    /// What `look` finds, as soon as it finds something.
    pub(super) async fn until<T>(&self, timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Before looking: a change between the look and the wait must not be missed.
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, wait).await.ok()
    }
}

/// Looks like a random one; the same doings give the same ones.
fn guid(number: usize) -> String {
    let hex = hex::encode(Sha256::digest(format!("delivery {number}")));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
