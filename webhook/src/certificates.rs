//! Certificates: the authority that gives them, what is kept of them, and what the gateways are told. Which names want one
//! is told; nothing here knows of stages.

mod authority;
mod dns;
mod gateways;
mod leaf;
mod order;
mod proof;
mod shelf;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use windlass_core::config::ServerConfig;
use windlass_core::gateway::Certificate;
use windlass_engine::Hosts;

use crate::back_off::BackOff;
use authority::{Authority, Failed};
use gateways::Gateways;
use order::Ordering;
use proof::Turns;
use shelf::{Entry, Shelf, Trouble};

pub(crate) use gateways::ends_tls;
pub(crate) use shelf::kept_states;
pub(crate) use transport::ask_directory;

/// Before what was refused is tried again: authorities count.
const REFUSED: BackOff = BackOff { first: Duration::from_secs(60), longest: Duration::from_secs(6 * 3600) };
/// Before an authority that could not be reached is tried again.
const AWAY: BackOff = BackOff { first: Duration::from_secs(5), longest: Duration::from_secs(3600) };
/// So many names are ordered at a time.
const AT_A_TIME: usize = 10;
/// How often an authority is asked at the most, and at the least, when it would like to renew.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));

/// The certificates of this installation.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// `None`: they come from files only.
    source: Option<(Authority, Shelf)>,
    gateways: Gateways,
    turns: Turns,
    seats: Semaphore,
    names: Mutex<Names>,
    changed: watch::Sender<()>,
    /// Whoever has it asks the authority when to renew.
    asking: tokio::sync::Mutex<()>,
}

/// Whether something else is known of when to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    Changed,
    AsBefore,
}

#[derive(Debug, Default)]
struct Names {
    wanted: BTreeSet<String>,
    under_way: BTreeSet<String>,
    /// When the authority would like each to be renewed.
    windows: BTreeMap<String, Window>,
}

/// What the authority says of a certificate's renewal.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// Of the certificate that ends then.
    of: Timestamp,
    /// `None`: it does not say.
    at: Option<Timestamp>,
    ask_again: Timestamp,
}

/// How a name stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameState {
    /// When its certificate ends; `None`: it has none.
    pub(crate) ends: Option<Timestamp>,
    /// Why it has none, or none that is newer: in the authority's own words, where they are its.
    pub(crate) problem: Option<String>,
    /// When it is tried again.
    pub(crate) again: Option<Timestamp>,
    /// Whether it is being ordered.
    pub(crate) under_way: bool,
}

impl From<Entry> for NameState {
    fn from(entry: Entry) -> Self {
        let trouble = entry.kept.trouble;
        Self {
            ends: entry.leaf.map(|leaf| leaf.ends),
            again: trouble.as_ref().map(|trouble| trouble.again),
            problem: trouble.map(|trouble| trouble.problem),
            under_way: false,
        }
    }
}

/// One name is ordered by one at a time.
struct Claimed<'a> {
    certificates: &'a Certificates,
    name: &'a str,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.certificates.lock().under_way.remove(self.name);
        self.certificates.changed.send_replace(());
    }
}

impl Certificates {
    /// Reads what is kept. Nobody is asked yet.
    pub(crate) fn open(server: &ServerConfig, external_key: Option<SecretString>, hosts: &Hosts) -> Self {
        let source = server.acme.clone().map(|config| {
            let shelf = Shelf::open(&server.data, &config);
            (Authority::new(config, external_key), shelf)
        });
        Self {
            source,
            gateways: Gateways::of(hosts, &server.hosts),
            turns: Turns::default(),
            seats: Semaphore::new(AT_A_TIME),
            names: Mutex::default(),
            changed: watch::Sender::new(()),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The names that are looked after.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        self.lock().wanted.clone()
    }

    /// From now on these names and no others are looked after. What has ended and nobody wants is forgotten.
    pub(crate) fn want(&self, wanted: BTreeSet<String>, now: Timestamp) {
        let mut names = self.lock();
        if let Some((_, shelf)) = &self.source {
            let unwanted =
                shelf.names().into_iter().filter(|name| !wanted.contains(name) && !names.under_way.contains(name));
            for name in unwanted {
                // What an authority has refused is not asked for again because nobody wanted it for a moment.
                let over = shelf.get(&name).is_none_or(|entry| {
                    entry.leaf.is_none_or(|leaf| leaf.ends < now) && entry.kept.trouble.is_none_or(|it| it.again < now)
                });
                if over && let Err(error) = shelf.remove(&name) {
                    tracing::warn!(name, %error, "a certificate that nobody wants cannot be removed");
                }
            }
        }
        names.wanted = wanted;
    }

    /// The names to be ordered now, and when the next one is due.
    pub(crate) fn due(&self, now: Timestamp) -> (Vec<String>, Option<Duration>) {
        let names = self.lock();
        let Some((_, shelf)) = &self.source else { return (Vec::new(), None) };
        let (mut due, mut next) = (Vec::new(), None::<Duration>);
        for name in names.wanted.iter().filter(|name| !names.under_way.contains(*name) && cannot(name).is_none()) {
            let at = due_at(shelf.get(name).as_ref(), names.windows.get(name), now);
            match Duration::try_from(at.duration_since(now)) {
                Ok(left) if !left.is_zero() => next = Some(next.map_or(left, |next| next.min(left))),
                _ => due.push(name.clone()),
            }
        }
        (due, next)
    }

    /// Orders a name, keeps what comes of it, and tells the gateways.
    pub(crate) async fn order(&self, name: &str) {
        let (Some((authority, shelf)), Some(_claimed)) = (&self.source, self.claim(name)) else { return };
        let Ok(_seat) = self.seats.acquire().await else { return };
        let ordering = Ordering { authority, shelf, gateways: &self.gateways, turns: &self.turns, name };
        match Box::pin(ordering.run()).await {
            Ok(leaf) => tracing::info!(name, ends = %leaf.ends, "it has a certificate"),
            Err((failed, alone)) => self.note_trouble(shelf, name, failed, alone).await,
        }
        self.tell().await;
    }

    async fn note_trouble(&self, shelf: &Shelf, name: &str, failed: Failed, alone: Option<Duration>) {
        let (why, challenge, back_off) = match failed {
            Failed::Refused { why, challenge } => (why, challenge, REFUSED),
            Failed::AtOnce(why) => (why, None, REFUSED),
            Failed::Forgotten => ("the authority does not know our account".to_owned(), None, REFUSED),
            Failed::Away(why) => (why, None, AWAY),
        };
        let kept = shelf.change(name, |kept| {
            let tries = kept.trouble.as_ref().map_or(0, |trouble| trouble.tries).saturating_add(1);
            let pause = back_off.pause(tries.into()).max(alone.unwrap_or_default());
            let again = Timestamp::now() + pause;
            tracing::warn!(name, why, %again, "it gets no certificate");
            let earlier = kept.trouble.take().and_then(|trouble| trouble.challenge);
            kept.trouble = Some(Trouble { tries, problem: why, again, challenge: challenge.or(earlier) });
        });
        if let Err(error) = kept.await {
            tracing::error!(name, %error, "what went wrong cannot be kept");
        }
    }

    /// Tells every gateway what it does not know yet. Returns how many could not be told.
    pub(crate) async fn tell(&self) -> usize {
        self.gateways.tell(|| self.certificates()).await
    }

    /// Looks at what the gateways show, so that they are told again what they have forgotten.
    pub(crate) async fn compare(&self) {
        let shown = self.entries().into_iter().filter_map(|(name, entry)| Some((name, entry.leaf?.ends))).collect();
        self.gateways.compare(&shown).await;
    }

    /// Asks the authority when it would like to renew what there is.
    pub(crate) async fn ask_for_windows(&self, now: Timestamp) -> Windows {
        let (Some((authority, shelf)), Ok(_asking)) = (&self.source, self.asking.try_lock()) else {
            return Windows::AsBefore;
        };
        let asked: Vec<(String, Entry)> = self
            .entries()
            .into_iter()
            .filter(|(name, entry)| {
                let known = self.lock().windows.get(name).copied();
                let ours = !entry.borrowed && entry.leaf.as_ref().is_some_and(|leaf| leaf.identifier().is_some());
                ours && known.is_none_or(|known| {
                    known.ask_again <= now || Some(known.of) != entry.leaf.as_ref().map(|it| it.ends)
                })
            })
            .collect();
        if asked.is_empty() {
            return Windows::AsBefore;
        }
        let account = authority.account(shelf).await.ok().map(|(account, _)| account);
        for (name, entry) in asked {
            let Some(leaf) = &entry.leaf else { continue };
            let window = match (&account, leaf.identifier()) {
                (Some(account), Some(identifier)) => authority.window(account, &identifier).await,
                _ => None,
            };
            let known = self.lock().windows.get(&name).filter(|known| known.of == leaf.ends).and_then(|known| known.at);
            let (at, again) = match window {
                Some((at, again)) => (Some(at), again.clamp(WINDOWS.0, WINDOWS.1)),
                // What it has said it has said.
                None => (known, if account.is_some() { WINDOWS.1 } else { WINDOWS.0 }),
            };
            // A certificate of a day is not to be forgotten about for six hours.
            let short = Duration::try_from(leaf.ends.duration_since(now) / 4).unwrap_or_default().max(WINDOWS.0);
            let window = Window { of: leaf.ends, at, ask_again: now + again.min(short) };
            self.lock().windows.insert(name, window);
        }
        Windows::Changed
    }

    /// How a name stands.
    pub(crate) fn state(&self, name: &str) -> NameState {
        if let Some(why) = cannot(name) {
            return NameState { problem: Some(why.to_owned()), ..NameState::default() };
        }
        let Some((_, shelf)) = &self.source else {
            let problem = "the server's file has no [acme], and no files for it".to_owned();
            return NameState { problem: Some(problem), ..NameState::default() };
        };
        let known = shelf.get(name).map(NameState::from).unwrap_or_default();
        NameState { under_way: self.lock().under_way.contains(name), ..known }
    }

    /// Waits until each of these names has a certificate or has failed to get one, but not for ever.
    pub(crate) async fn settled(&self, names: &BTreeSet<String>, until: Instant) {
        let mut changed = self.changed.subscribe();
        let settled = async {
            loop {
                changed.borrow_and_update();
                let open = |name: &String| {
                    let state = self.state(name);
                    state.under_way || (state.ends.is_none() && state.problem.is_none())
                };
                if !names.iter().any(open) || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout_at(until, settled).await;
    }

    /// What the gateways shall show.
    fn certificates(&self) -> Vec<Certificate> {
        let certificate = |(name, entry): (String, Entry)| {
            let got = entry.kept.certificate?;
            Some(Certificate { names: vec![name], chain: got.chain, key: got.key.0 })
        };
        self.entries().into_iter().filter_map(certificate).collect()
    }

    /// Of the names that are wanted.
    fn entries(&self) -> Vec<(String, Entry)> {
        let Some((_, shelf)) = &self.source else { return Vec::new() };
        let wanted = self.lock().wanted.clone();
        wanted.into_iter().filter_map(|name| Some((name.clone(), shelf.get(&name)?))).collect()
    }

    fn claim<'a>(&'a self, name: &'a str) -> Option<Claimed<'a>> {
        // A claim that is dropped takes the lock: none is made for a name that somebody else has.
        let is_free = self.lock().under_way.insert(name.to_owned());
        is_free.then(|| Claimed { certificates: self, name })
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no authority gives a certificate for it, ever.
fn cannot(name: &str) -> Option<&'static str> {
    (name == "*")
        .then_some("no authority gives a certificate for every host: name the hosts in `url`, or give files for them")
}

/// When a name is ordered, or its certificate renewed.
fn due_at(entry: Option<&Entry>, window: Option<&Window>, now: Timestamp) -> Timestamp {
    let Some(entry) = entry else { return now };
    let again = entry.kept.trouble.as_ref().map(|trouble| trouble.again);
    let renewal = match (&entry.leaf, &entry.kept.certificate) {
        (Some(leaf), Some(got)) if !entry.borrowed => {
            let window = window.filter(|window| window.of == leaf.ends).and_then(|window| window.at);
            window.map_or_else(|| leaf.two_thirds(got.at), |at| at.min(leaf.ends - SignedDuration::from_secs(1)))
        }
        _ => now,
    };
    again.map_or(renewal, |again| again.max(renewal))
}
