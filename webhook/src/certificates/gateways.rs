//! What the gateways are told of certificates and challenges: all of it whenever it has changed, and again when one does not
//! show what it was told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use windlass_core::config::{GatewayListen, GatewayTls, HostConfig};
use windlass_core::gateway::{
    Certificate, CertificateSource, Challenge, GatewayStatus, SetCertificates, SetChallenges, wildcard_of,
};
use windlass_core::names::HostName;
use windlass_engine::{GatewayClient, GatewayError, Hosts};

/// Whether a gateway ends TLS.
pub(crate) fn ends_tls(gateway: &GatewayListen) -> bool {
    gateway.https.is_some() && gateway.tls != GatewayTls::Upstream
}

/// All gateways, and what each knows.
#[derive(Debug)]
pub(super) struct Gateways {
    doors: Vec<Door>,
    challenges: Mutex<BTreeMap<u64, Challenge>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Door {
    host: HostName,
    client: GatewayClient,
    ends_tls: bool,
    /// Whoever has it tells: what is older never comes after what is newer.
    told: tokio::sync::Mutex<Told>,
}

/// By hash. `None`: nobody knows.
#[derive(Debug, Default)]
struct Told {
    certificates: Option<[u8; 32]>,
    challenges: Option<[u8; 32]>,
    /// Why it could not be told, so that it is said once.
    silence: Option<String>,
}

/// What gateways show of a certificate that they were given, by name: when it ends.
pub(super) type Endings = BTreeMap<String, Timestamp>;

/// A challenge that the gateways answer until this is dropped and they are told so.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    gateways: &'a Gateways,
    id: u64,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.gateways.open().remove(&self.id);
    }
}

impl Gateways {
    pub(super) fn of(hosts: &Hosts, configs: &BTreeMap<HostName, HostConfig>) -> Self {
        let door = |(name, host): (&HostName, &windlass_engine::Host)| {
            let ends_tls = configs.get(name)?.gateway.as_ref().is_some_and(ends_tls);
            Some(Door {
                host: name.clone(),
                client: host.gateway.clone()?,
                ends_tls,
                told: tokio::sync::Mutex::default(),
            })
        };
        let doors = hosts.iter().filter_map(door).collect();
        Self { doors, challenges: Mutex::default(), next: AtomicU64::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.doors.is_empty()
    }

    /// Has every gateway answer a challenge: nobody knows at which of them the authority will come. One is enough to go
    /// on, for one that is away does not answer the authority either.
    pub(super) async fn answer(&self, challenge: Challenge) -> Result<Answered<'_>, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id, challenge);
        let answered = Answered { gateways: self, id };
        let told = join_all(self.doors.iter().map(|door| self.tell_challenges(door))).await;
        if told.iter().any(Result::is_ok) {
            return Ok(answered);
        }
        let why =
            told.into_iter().find_map(Result::err).map_or_else(|| "there is none".to_owned(), |why| why.to_string());
        Err(format!("no gateway could be told what to answer the authority: {why}"))
    }

    /// Tells each what it does not know yet. Returns how many could not be told.
    pub(super) async fn tell(&self, certificates: impl Fn() -> Vec<Certificate>) -> usize {
        let told = join_all(self.doors.iter().map(|door| async {
            let told = match self.tell_certificates(door, &certificates).await {
                Ok(()) => self.tell_challenges(door).await,
                told => told,
            };
            door.heard(told.as_ref().err()).await;
            told
        }));
        told.await.iter().filter(|told| told.is_err()).count()
    }

    /// Looks at what each shows, and forgets what it was told where it shows something else.
    pub(super) async fn compare(&self, shown: &Endings) {
        join_all(self.doors.iter().map(|door| async move {
            let status = door.client.status().await;
            let mut told = door.told.lock().await;
            match &status {
                Ok(status) => {
                    if !door.ends_tls {
                        told.certificates = None;
                    } else if told.certificates.is_some() && forgot(status, shown) {
                        tracing::info!(host = %door.host, "its gateway shows other certificates than it was given: it is told again");
                        told.certificates = None;
                    }
                    // Whether it was started anew since nobody can say: challenges are few, and so are their times.
                    if !self.open().is_empty() {
                        told.challenges = None;
                    }
                }
                Err(_) => (told.certificates, told.challenges) = (None, None),
            }
        }))
        .await;
    }

    async fn tell_certificates(
        &self,
        door: &Door,
        certificates: impl Fn() -> Vec<Certificate>,
    ) -> Result<(), GatewayError> {
        if !door.ends_tls {
            return Ok(());
        }
        let mut told = door.told.lock().await;
        let request = SetCertificates { certificates: certificates() };
        let hash = hash(request.certificates.iter().flat_map(|it| it.names.iter().chain([&it.chain, &it.key])));
        if told.certificates != Some(hash) {
            told.certificates = None;
            door.client.set_certificates(&request).await?;
            told.certificates = Some(hash);
        }
        Ok(())
    }

    async fn tell_challenges(&self, door: &Door) -> Result<(), GatewayError> {
        let mut told = door.told.lock().await;
        let request = SetChallenges { challenges: self.open().values().cloned().collect() };
        let parts = request.challenges.iter().flat_map(|challenge| match challenge {
            Challenge::Http { name, token, key_authorization } => [name, token, key_authorization],
            Challenge::TlsAlpn { name, key_authorization } => [name, name, key_authorization],
        });
        let hash = hash(parts);
        // One that was never told any has none to forget.
        if told.challenges != Some(hash) && !(told.challenges.is_none() && request.challenges.is_empty()) {
            told.challenges = None;
            door.client.set_challenges(&request).await?;
            told.challenges = Some(hash);
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Challenge>> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    /// Says once that it cannot be told, and once that it can.
    async fn heard(&self, error: Option<&GatewayError>) {
        let mut told = self.told.lock().await;
        let silence = error.map(ToString::to_string);
        match (&told.silence, &silence) {
            (None, Some(why)) => tracing::warn!(host = %self.host, why, "its gateway cannot be told of certificates"),
            (Some(_), None) => tracing::info!(host = %self.host, "its gateway was told of certificates"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        told.silence = silence;
    }
}

/// Whether it shows something else for a name than what it was given. Names that it does not show are nobody's yet.
fn forgot(status: &GatewayStatus, shown: &Endings) -> bool {
    let given = |name: &str| shown.get(name).or_else(|| shown.get(&wildcard_of(name)?));
    status.certificates.iter().any(|certificate| match (certificate.source, given(&certificate.name)) {
        (CertificateSource::File, _) | (CertificateSource::SelfSigned, None) => false,
        // What it cannot use will not be better for being told again.
        (CertificateSource::SelfSigned, Some(_)) => certificate.problem.is_none(),
        (CertificateSource::Service, ends) => certificate.ends.as_ref() != ends,
    })
}

fn hash<'a>(parts: impl Iterator<Item = &'a String>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use windlass_core::gateway::CertificateStatus;

    use super::*;

    fn status(name: &str, source: CertificateSource, ends: Option<Timestamp>) -> GatewayStatus {
        let certificates = vec![CertificateStatus { name: name.to_owned(), source, ends, problem: None }];
        GatewayStatus { certificates, ..GatewayStatus::default() }
    }

    #[test]
    fn a_gateway_is_told_again_of_what_it_lost_and_of_nothing_else() {
        let [ends, later] = [1, 2].map(|second| Timestamp::from_second(second).unwrap());
        let given: Endings = BTreeMap::from([("shop.test".to_owned(), ends), ("*.all.test".to_owned(), ends)]);
        use CertificateSource::{File, SelfSigned, Service};
        for (name, source, shown, lost) in [
            ("shop.test", Service, Some(ends), false),
            ("shop.test", Service, Some(later), true),
            ("shop.test", SelfSigned, None, true),
            ("shop.test", File, Some(later), false),
            ("a.all.test", Service, Some(ends), false),
            ("a.all.test", SelfSigned, None, true),
            ("other.test", SelfSigned, None, false),
            ("other.test", Service, Some(ends), true),
        ] {
            assert_eq!(forgot(&status(name, source, shown), &given), lost, "{name} {source}");
        }
    }
}
