//! Certificates: whether the authority answers, and what each gateway shows to those who come by https.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::config::{GatewayListen, GatewayTls, ServerConfig};
use windlass_core::gateway::{CertificateSource, GatewayStatus};
use windlass_core::names::HostName;

use super::Finding;
use crate::certificates::{self, NameState, ends_tls};

/// The authority of the server's file.
pub(super) async fn authority(config: &ServerConfig) -> Option<Finding> {
    let acme = config.acme.as_ref()?;
    let name = "authority";
    let shown = &acme.directory;
    let directory = match certificates::ask_directory(acme).await {
        Ok(directory) => directory,
        Err(why) => {
            let hint =
                "it has to be reached from here; a directory of one's own needs `authority` in [acme]".to_owned();
            return Some(Finding::bad(name, format!("{shown}: {why}"), Some(hint)));
        }
    };
    if let Some(profile) = acme.profile.as_ref().filter(|profile| !directory.profiles.contains(profile)) {
        let hint = format!("it has {}", directory.profiles.join(", "));
        return Some(Finding::bad(name, format!("{shown} has no profile `{profile}`"), Some(hint)));
    }
    if directory.wants_external_account && acme.external_account.is_none() {
        let hint = "add `external-account` to [acme]: name and key are to be had there".to_owned();
        return Some(Finding::bad(name, format!("{shown} gives certificates only to its customers"), Some(hint)));
    }
    let terms = directory.terms.map(|terms| format!(", on these terms: {terms}")).unwrap_or_default();
    let renewal = if directory.renewal_info { "says when to renew" } else { "does not say when to renew" };
    Some(Finding::good(name, format!("the authority answers and {renewal}{terms}")))
}

/// What a gateway shows.
pub(super) fn of_gateway(
    host: &HostName,
    gateway: &GatewayListen,
    status: &GatewayStatus,
    known: &BTreeMap<String, NameState>,
) -> Vec<Finding> {
    let called = format!("https of {host}");
    let routes = status.services.iter().flat_map(|service| &service.routes).filter(|route| route.https);
    let promised: BTreeSet<&str> = routes.map(|route| route.host.as_str()).collect();
    if !ends_tls(gateway) {
        if promised.is_empty() || gateway.tls == GatewayTls::Upstream {
            return Vec::new();
        }
        let names: Vec<&str> = promised.into_iter().collect();
        let wrong = format!("nobody is said to end TLS for {}", names.join(", "));
        let hint = format!(
            "give [hosts.{host}.gateway] an address at `https`, or say tls = \"upstream\" where another proxy stands in front"
        );
        return vec![Finding::doubtful(called, wrong, Some(hint))];
    }
    let mut findings = Vec::new();
    for shown in &status.certificates {
        let state = known.get(&shown.name);
        let problem = state.and_then(|state| state.problem.clone()).or_else(|| shown.problem.clone());
        let again =
            state.and_then(|state| state.again).map(|at| format!("it is tried again at {}", at.strftime("%FT%TZ")));
        let name = &shown.name;
        match (shown.source, problem) {
            (CertificateSource::SelfSigned, problem) => {
                let why = problem.unwrap_or_else(|| "none was given".to_owned());
                let wrong = format!("{name} is shown a certificate that nobody signed: {why}");
                findings.push(Finding::doubtful(called.clone(), wrong, again));
            }
            (_, Some(problem)) => {
                let wrong = format!("the certificate of {name} is good, and no newer one can be had: {problem}");
                findings.push(Finding::doubtful(called.clone(), wrong, again));
            }
            (_, None) => {}
        }
    }
    if findings.is_empty() {
        let certificates = status.certificates.len();
        findings.push(Finding::good(called, format!("{certificates} names have a certificate")));
    }
    findings
}
