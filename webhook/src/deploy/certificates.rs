//! Which names want a certificate: the `https` addresses of what is served and of what is about to be, where a gateway ends
//! TLS and has no files for them. New ones are ordered while their deployment is prepared, so that an address works the
//! moment it is active; one that cannot be had keeps neither the others nor the deployment waiting.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;
use windlass_core::config::{AppConfig, GatewayTls};
use windlass_core::deployment::Failure;
use windlass_core::gateway::wildcard_of;
use windlass_core::names::{AppName, HostName, ReleaseNumber};
use windlass_core::stage::Stage;
use windlass_engine::StepContext;

use crate::certificates::{NameState, Windows, ends_tls};
use crate::deploy::hosts;
use crate::release_config::stored_config;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::claims::Serving;
use crate::store::deployments::StoredDeployment;
use crate::work::BackgroundTask;

/// How long a deployment waits for new names while its images are fetched.
const WAIT: Duration = Duration::from_secs(30);
/// When a gateway that could not be told is told again.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The https names of some apps on some hosts.
#[derive(Debug, Default)]
pub(crate) struct HttpsNames {
    /// Shown by a gateway that ends TLS.
    pub(crate) shown: BTreeSet<String>,
    /// Those of them that have no files on a host: they come from the authority.
    pub(crate) ordered: BTreeSet<String>,
    /// A release cannot be read: what it wants is what was wanted before.
    some_are_unknown: bool,
    /// Promised by apps on hosts where nobody is said to end TLS.
    in_the_clear: BTreeSet<(HostName, String)>,
}

impl HttpsNames {
    /// Adds those of an app of a stage.
    fn add(&mut self, service: &Service, stage: &Stage, app: &AppConfig) {
        let server = &service.settings.server;
        let Some(policy) = server.policy(stage) else { return };
        let names: BTreeSet<&String> = app.addresses().filter(|(_, it)| it.https).map(|(_, it)| &it.host).collect();
        for host in hosts::plan_hosts(server, policy) {
            let Some(gateway) = server.hosts.get(&host.name).and_then(|host| host.gateway.as_ref()) else { continue };
            for name in &names {
                match &gateway.tls {
                    GatewayTls::Here(files) if ends_tls(gateway) => {
                        self.shown.insert((*name).clone());
                        if !files.contains_key(*name) && !wildcard_of(name).is_some_and(|all| files.contains_key(&all))
                        {
                            self.ordered.insert((*name).clone());
                        }
                    }
                    GatewayTls::Here(_) => {
                        self.in_the_clear.insert((host.name.clone(), (*name).clone()));
                    }
                    GatewayTls::Upstream => {}
                }
            }
        }
    }
}

/// Of everything that is served, and of what is about to be.
async fn of_all(service: &Service) -> Result<HttpsNames, StoreError> {
    let mut names = HttpsNames::default();
    for Serving { stage, app, release } in service.store.serving().await? {
        add_release(service, &mut names, &stage, &app, release).await?;
    }
    if names.some_are_unknown {
        names.ordered.extend(service.certificates.wanted());
    }
    Ok(names)
}

/// Of what a stage serves.
pub(crate) async fn of_stage(service: &Service, stage: &Stage) -> Result<HttpsNames, StoreError> {
    let mut names = HttpsNames::default();
    for serving in service.store.serving().await?.into_iter().filter(|serving| serving.stage == *stage) {
        add_release(service, &mut names, stage, &serving.app, serving.release).await?;
    }
    Ok(names)
}

async fn add_release(
    service: &Service,
    names: &mut HttpsNames,
    stage: &Stage,
    app: &AppName,
    release: ReleaseNumber,
) -> Result<(), StoreError> {
    let Some(release) = service.store.release(stage, app, release).await? else { return Ok(()) };
    // What an older version could read, and this one cannot, is served all the same.
    match stored_config(stage, &release.config).await {
        Ok(config) => config.apps.get(app).into_iter().for_each(|app| names.add(service, stage, app)),
        Err(_) => names.some_are_unknown = true,
    }
    Ok(())
}

/// Has the new names of a deployment ordered while its images come, waits for both, and says what became of each. Images
/// that do not come wait for no name.
pub(crate) async fn beside(
    images: impl Future<Output = Result<Option<String>, Failure>>,
    service: &Service,
    deployment: &StoredDeployment,
    context: &StepContext,
) -> Result<Option<String>, Failure> {
    let (result, said) = match select(pin!(images), pin!(of_deployment(service, deployment))).await {
        Either::Left((Ok(note), names)) => (Ok(note), names.await),
        Either::Left((failed, _)) => (failed, Vec::new()),
        Either::Right((said, images)) => (images.await, said),
    };
    for line in said {
        context.note(line);
    }
    result
}

/// But not for long.
async fn of_deployment(service: &Service, deployment: &StoredDeployment) -> Vec<String> {
    let until = Instant::now() + WAIT;
    let names = match new_names(service, deployment, until).await {
        Ok(names) => names,
        Err(error) => {
            tracing::error!(deployment.id = %deployment.id, %error, "it is not known which names want a certificate");
            return Vec::new();
        }
    };
    service.wake.certificates.notify_one();
    service.certificates.settled(&names, until).await;
    names.iter().map(|name| said(name, service.certificates.state(name))).collect()
}

/// What the gateways have when this returns is what was got before.
async fn new_names(
    service: &Service,
    deployment: &StoredDeployment,
    until: Instant,
) -> Result<BTreeSet<String>, StoreError> {
    let mut ours = HttpsNames::default();
    for (app, release) in &deployment.releases {
        add_release(service, &mut ours, &deployment.stage, app, *release).await?;
    }
    if ours.ordered.is_empty() {
        return Ok(BTreeSet::new());
    }
    service.certificates.want(of_all(service).await?.ordered, service.clock.now());
    let has_none = |name: &String| service.certificates.state(name).ends.is_none();
    let new = ours.ordered.into_iter().filter(has_none).collect();
    if tokio::time::timeout_at(until, service.certificates.tell()).await.is_err() {
        tracing::warn!(deployment.id = %deployment.id, "a gateway does not answer: its certificates are not waited for");
    }
    Ok(new)
}

fn said(name: &str, state: NameState) -> String {
    match (state.ends, state.problem, state.again) {
        (Some(ends), ..) => format!("{name} has a certificate until {ends}"),
        (None, Some(problem), None) => format!("{name} has no certificate: {problem}"),
        (None, Some(problem), Some(again)) => {
            format!("{name} has no certificate yet: {problem}; it is tried again at {}", again.strftime("%FT%TZ"))
        }
        (None, None, _) => {
            format!("{name} has no certificate yet: the authority takes longer than {} s", WAIT.as_secs())
        }
    }
}

/// Orders and renews certificates, and keeps the gateways told.
pub(crate) struct CertificateWork {
    service: Arc<Service>,
    warned: Mutex<BTreeSet<(HostName, String)>>,
}

impl CertificateWork {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, warned: Mutex::default() }
    }

    /// Once for each: an address that is https is a promise, and somebody has to keep it.
    fn warn(&self, in_the_clear: BTreeSet<(HostName, String)>) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, name) in in_the_clear.difference(&warned) {
            tracing::warn!(
                %host,
                name,
                "an app's address is https, and the host's gateway does not end TLS: give it `https`, or say \
                 `tls = \"upstream\"` where another proxy stands in front"
            );
        }
        *warned = in_the_clear;
    }
}

impl BackgroundTask for CertificateWork {
    const NAME: &'static str = "certificates";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let (service, certificates) = (&self.service, &self.service.certificates);
        let names = of_all(service).await?;
        self.warn(names.in_the_clear);
        certificates.want(names.ordered, service.clock.now());
        let (due, mut next) = certificates.due(service.clock.now());
        for name in due {
            let service = Arc::clone(service);
            self.service.tracker.spawn(async move {
                tokio::select! {
                    () = service.certificates.order(&name) => service.wake.certificates.notify_one(),
                    () = service.shutdown.cancelled() => {}
                }
            });
        }
        certificates.compare().await;
        if certificates.tell().await > 0 {
            next = Some(next.map_or(TELL_AGAIN, |next| next.min(TELL_AGAIN)));
        }
        // An authority that is slow keeps no new name waiting.
        let windows = Arc::clone(service);
        service.tracker.spawn(async move {
            tokio::select! {
                changed = windows.certificates.ask_for_windows(windows.clock.now()) => {
                    if changed == Windows::Changed {
                        windows.wake.certificates.notify_one();
                    }
                }
                () = windows.shutdown.cancelled() => {}
            }
        });
        Ok(next)
    }
}
