//! What clients are shown that come by TLS: for each name the operator's files, else the service's certificate, else one
//! that the gateway signs itself and that says so. What is wrong with one name's is that name's trouble only.

mod files;
mod kept;
mod material;
mod own;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use windlass_core::config::CertificateFiles;
use windlass_core::gateway::{Certificate, CertificateSource, CertificateStatus, Challenge, Route, wildcard_of};

pub(crate) use files::{Watch, watch};
pub(crate) use own::ACME_TLS;

use crate::certificates::files::Files;
use crate::certificates::kept::Kept;
use crate::certificates::material::Material;

/// One gateway's.
#[derive(Debug)]
pub(crate) struct Certificates {
    known: Mutex<Known>,
    shown: ArcSwap<Shown>,
}

/// All that is known, whether it is shown or not.
#[derive(Debug)]
struct Known {
    files: Files,
    kept: Kept,
    /// Of the service's, by name.
    given: BTreeMap<String, Given>,
    /// Signed by the gateway itself, by name.
    own: BTreeMap<String, Arc<CertifiedKey>>,
    /// Names that are served by https.
    wanted: BTreeSet<String>,
    challenges: Vec<Challenge>,
}

/// What the service gave for a name.
type Given = Result<Arc<Material>, String>;

/// What a handshake looks at. Never changed, only replaced whole.
#[derive(Debug, Default)]
struct Shown {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For handshakes of an authority.
    challenges: HashMap<String, Arc<CertifiedKey>>,
    /// What an authority asks for in the clear: the answer by name and token.
    answers: HashMap<(String, String), String>,
    statuses: Vec<CertificateStatus>,
}

impl Certificates {
    /// Those of these files, and what `folder` remembers of the service's.
    pub(crate) fn load(files: BTreeMap<String, CertificateFiles>, folder: PathBuf) -> io::Result<Arc<Self>> {
        let kept = Kept::open(folder)?;
        let given = given_by_name(kept.load()?);
        let files = Files::read(files);
        let known = Known { files, kept, given, own: BTreeMap::new(), wanted: BTreeSet::new(), challenges: Vec::new() };
        let certificates = Self { known: Mutex::new(known), shown: ArcSwap::default() };
        certificates.show(&mut certificates.known());
        Ok(Arc::new(certificates))
    }

    /// These routes are served from now on.
    pub(crate) fn serve<'a>(&self, routes: impl Iterator<Item = &'a Route>) {
        let wanted: BTreeSet<String> = routes.filter(|route| route.https).map(|route| route.host.clone()).collect();
        let mut known = self.known();
        if known.wanted != wanted {
            known.wanted = wanted;
            self.show(&mut known);
        }
    }

    /// The service's, from now on: first on disk, then shown.
    pub(crate) fn give(&self, certificates: Vec<Certificate>) -> io::Result<()> {
        let mut known = self.known();
        known.kept.replace(&certificates)?;
        known.given = given_by_name(certificates);
        self.show(&mut known);
        Ok(())
    }

    /// What an authority may ask for from now on.
    pub(crate) fn challenge(&self, challenges: Vec<Challenge>) {
        let mut known = self.known();
        known.challenges = challenges;
        self.show(&mut known);
    }

    pub(crate) fn challenges(&self) -> Vec<Challenge> {
        self.known().challenges.clone()
    }

    /// The operator's files are read again. Those that cannot be read leave what was there.
    pub(crate) fn read_files(&self) {
        let mut known = self.known();
        if known.files.read_again() {
            self.show(&mut known);
        }
    }

    /// What an authority gets that asks for this in the clear.
    pub(crate) fn answer(&self, host: &str, token: &str) -> Option<String> {
        let shown = self.shown.load();
        if shown.answers.is_empty() {
            return None;
        }
        shown.answers.get(&(host.to_ascii_lowercase(), token.to_owned())).cloned()
    }

    pub(crate) fn status(&self) -> Vec<CertificateStatus> {
        self.shown.load().statuses.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, known: &mut Known) {
        self.shown.store(Arc::new(known.shown()));
    }
}

impl Known {
    fn shown(&mut self) -> Shown {
        let mut shown = Shown::default();
        let names: BTreeSet<String> = self.wanted.iter().cloned().chain(self.files.names()).collect();
        for name in names {
            let (key, status) = self.best(&name);
            shown.statuses.push(status);
            if let Some(key) = key {
                shown.by_name.insert(name, key);
            }
        }
        self.own.retain(|name, _| self.wanted.contains(name));
        for challenge in &self.challenges {
            match challenge {
                Challenge::Http { name, token, key_authorization } => {
                    shown.answers.insert((name.to_ascii_lowercase(), token.clone()), key_authorization.clone());
                }
                Challenge::TlsAlpn { name, key_authorization } => match own::for_challenge(name, key_authorization) {
                    Ok(key) => drop(shown.challenges.insert(name.to_ascii_lowercase(), key)),
                    Err(error) => tracing::error!(%error, host.name = name, "no certificate for a challenge"),
                },
            }
        }
        shown
    }

    /// What is shown for a name, and what is said of that.
    fn best(&mut self, name: &str) -> (Option<Arc<CertifiedKey>>, CertificateStatus) {
        let status = |source, ends: Option<Timestamp>, problem| CertificateStatus {
            name: name.to_owned(),
            source,
            ends,
            problem,
        };
        let (file, mut problem) = self.files.find(name);
        if let Some(material) = file {
            return (Some(Arc::clone(&material.key)), status(CertificateSource::File, material.ends, problem));
        }
        let given = self.given.get(name).or_else(|| self.given.get(&wildcard_of(name)?));
        match given {
            Some(Ok(material)) => {
                let key = Arc::clone(&material.key);
                return (Some(key), status(CertificateSource::Service, material.ends, problem));
            }
            Some(Err(reason)) => problem = problem.or_else(|| Some(reason.clone())),
            None => {}
        }
        let key = match self.own.get(name) {
            Some(key) => Some(Arc::clone(key)),
            None => match own::for_name(name) {
                Ok(key) => {
                    self.own.insert(name.to_owned(), Arc::clone(&key));
                    Some(key)
                }
                Err(error) => {
                    problem = problem.or(Some(error));
                    None
                }
            },
        };
        (key, status(CertificateSource::SelfSigned, None, problem))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.load();
        let is_authority = hello.alpn().is_some_and(|mut protocols| protocols.any(|it| it == ACME_TLS));
        let name = hello.server_name()?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if is_authority {
            return shown.challenges.get(&name).cloned();
        }
        let exact = shown.by_name.get(&name);
        let found = exact.or_else(|| shown.by_name.get(&wildcard_of(&name)?)).or_else(|| shown.by_name.get("*"));
        found.cloned()
    }
}

/// Each name has the one that ends last.
fn given_by_name(certificates: Vec<Certificate>) -> BTreeMap<String, Given> {
    let mut given: BTreeMap<String, Given> = BTreeMap::new();
    for Certificate { names, chain, key } in certificates {
        let material = Material::read(chain.as_bytes(), key.as_bytes()).map(Arc::new);
        for name in names {
            let name = name.to_ascii_lowercase();
            let ends = |given: &Given| given.as_ref().ok().and_then(|material| material.ends);
            if given.get(&name).is_none_or(|before| ends(before) < ends(&material)) {
                given.insert(name, material.clone());
            }
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(name: &str) -> Certificate {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Certificate { names: vec![name.to_owned()], chain: cert.pem(), key: signing_key.serialize_pem() }
    }

    fn https(host: &str) -> Route {
        Route { https: true, ..Route::new(host, "/") }
    }

    fn sources(certificates: &Certificates) -> Vec<(String, CertificateSource)> {
        certificates.status().into_iter().map(|status| (status.name, status.source)).collect()
    }

    #[test]
    fn one_bad_certificate_is_one_names_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::load(BTreeMap::new(), folder.path().join("certificates")).unwrap();
        let routes = [https("bad.test"), https("good.test"), https("none.test"), Route::new("plain.test", "/")];
        certificates.serve(routes.iter());
        let bad = Certificate { key: signed("bad.test").key, ..signed("bad.test") };
        certificates.give(vec![bad, signed("good.test")]).unwrap();
        let expected = [
            ("bad.test".to_owned(), CertificateSource::SelfSigned),
            ("good.test".to_owned(), CertificateSource::Service),
            ("none.test".to_owned(), CertificateSource::SelfSigned),
        ];
        assert_eq!(sources(&certificates), expected);
        let problem = certificates.status()[0].problem.clone().unwrap();
        assert!(problem.contains("does not belong"), "{problem}");
        // A gateway that starts again knows the same.
        let again = Certificates::load(BTreeMap::new(), folder.path().join("certificates")).unwrap();
        again.serve(routes.iter());
        assert_eq!(sources(&again), expected);
    }

    #[test]
    fn a_wildcard_is_for_one_name_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::load(BTreeMap::new(), folder.path().to_owned()).unwrap();
        certificates.serve([https("a.shop.test"), https("a.b.shop.test")].iter());
        certificates.give(vec![signed("*.shop.test")]).unwrap();
        let sources: Vec<_> = sources(&certificates).into_iter().map(|(_, source)| source).collect();
        assert_eq!(sources, [CertificateSource::SelfSigned, CertificateSource::Service]);
    }
}
