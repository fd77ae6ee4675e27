//! The service's life: read the secrets, claim the data folder, open the store, find the hosts, answer, and end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_core::config::ServerConfig;
use windlass_core::names::InstallationId;
use windlass_engine::{EngineError, Hosts};
use windlass_listen::{Limits, Seats, open_files};

use crate::at_work::AtWork;
use crate::background;
use crate::certificates::Certificates;
use crate::config::{Environment, Settings, SettingsError};
use crate::data_folder::{self, Beginning, FolderError, KEY};
use crate::deploy::catch_up;
use crate::gate::Gate;
use crate::github::oidc::Issuer;
use crate::github::{GitHub, GitHubError};
use crate::http::audience::Audience;
use crate::http::{self, Http};
use crate::intake::inbox::Intake;
use crate::intake::projects;
use crate::readiness::WriteProbe;
use crate::service::{Clock, Service};
use crate::sight::{Sights, Unseen};
use crate::store::{Store, StoreError};
use crate::wake::Wake;

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A secret is missing.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A host's engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// GitHub's client.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The client of whoever signs jobs' tokens.
    #[error("cannot make an HTTP client for jobs' tokens")]
    Issuer(#[from] reqwest::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// A service that answers.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    tracker: TaskTracker,
    store: Store,
    hosts: Hosts,
    _folder: std::fs::File,
}

/// A service that has just begun has its store's schema after this long.
const SHORTLY: Duration = Duration::from_secs(5);

/// So long may handlers and background work take to end.
const END: Duration = Duration::from_secs(10);

/// Starts the service. It answers when this returns.
///
/// # Errors
///
/// When a secret is missing, the data folder is in use, or the address is taken. An engine that does not answer, or whose
/// socket is not there, joins later.
pub async fn serve(config: ServerConfig, beginning: Beginning) -> Result<Running, ServeError> {
    let (service, folder) = wire(config, beginning, &environment).await?;
    let address = service.settings.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
    projects::identify_projects(&service).await?;
    catch_up::catch_up(&service).await?;
    let gate = Arc::new(Gate::new(Arc::clone(&service)));
    let http = Http {
        intake: Arc::new(Intake::start(
            service.store.clone(),
            Arc::clone(&service.wake.deliveries),
            &service.settings.server.data,
        )),
        issuer: Arc::new(Issuer::new(
            &service.settings.server.github.oidc_issuer,
            &service.settings.server.public_url,
        )?),
        audience: Audience::new(Limits::service().connections_with(open_files())),
        readings: Arc::default(),
        gate: Arc::clone(&gate),
        service: Arc::clone(&service),
    };
    background::start(&service, &gate);
    let (shutdown, tracker, hosts) = (service.shutdown.clone(), service.tracker.clone(), service.hosts.clone());
    let (store, installation, stop) = (service.store.clone(), service.installation, shutdown.clone());
    let router = http::router(http);
    tracker.spawn(windlass_listen::serve(listener, Seats::new(Limits::service(), open_files()), router, stop));
    tracing::info!(%address, %installation, "the service answers");
    Ok(Running { address, shutdown, tracker, store, hosts, _folder: folder })
}

/// The service's parts, wired. Nothing works yet. The data folder is claimed for as long as the file lives.
pub(crate) async fn wire(
    config: ServerConfig,
    beginning: Beginning,
    environment: Environment<'_>,
) -> Result<(Arc<Service>, std::fs::File), ServeError> {
    let settings = Settings::load(config, environment).await?;
    let data = settings.server.data.clone();
    let folder = data_folder::claim(&data).await?;
    data_folder::look_for_the_store(&data, beginning)?;
    let store = Store::open(&data, Timestamp::now()).await?;
    let installation = store.installation().await?;
    let holder = uuid::Uuid::new_v4().to_string();
    // The folder is ours alone, so whoever held a lease is dead.
    store.end_leases_of_the_dead(&holder).await?;

    let hosts = Hosts::expect(&settings.server.hosts, installation).await?;
    let hosts = hosts.with_mountable(&settings.server.mountable());
    let wake = Wake::default();
    let service = Arc::new(Service {
        github: GitHub::connect(&settings.server.github.api_url, settings.github.clone())?,
        sights: Sights::of(&hosts),
        certificates: Certificates::open(&settings.server, settings.acme_key.clone(), &hosts),
        hosts,
        installation_key: installation_key(&data, store.is_used().await?)?,
        installation,
        holder,
        store,
        wake,
        shutdown: CancellationToken::new(),
        tracker: TaskTracker::new(),
        at_work: AtWork::default(),
        cancelled: Notify::new(),
        readiness: WriteProbe::default(),
        clock: Clock,
        unseen: Unseen::all(settings.server.hosts.keys().cloned()),
        settings,
    });
    Ok((service, folder))
}

impl Running {
    /// Ends it: no new requests, what is under way is left where a restart finds it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        if tokio::time::timeout(END, self.tracker.wait()).await.is_err() {
            tracing::warn!("some work did not end in time; the next start takes it up");
        }
        // What Docker was asked for is seen through: whoever looks next finds it.
        let idle = join_all(self.hosts.iter().map(|(_, host)| host.engine.idle()));
        if tokio::time::timeout(END, idle).await.is_err() {
            tracing::warn!("an engine is still making something");
        }
        self.store.close().await;
    }
}

/// The process' environment: the one place where it is read.
#[expect(clippy::disallowed_methods, reason = "this is where the service begins")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A random key of the installation's own, in a file beside the store. A store that has been used had one.
fn installation_key(folder: &Path, is_used: bool) -> Result<Vec<u8>, FolderError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |source| FolderError::Unusable { folder: folder.to_owned(), source };
    let path = folder.join(KEY);
    match std::fs::read(&path) {
        Ok(key) if key.len() == 32 => Ok(key),
        Ok(_) => Err(failed(std::io::Error::other("fingerprint.key does not have 32 bytes"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if is_used {
                tracing::warn!(
                    key.path = %path.display(),
                    "the installation's key is gone and a new one is made: stages' secrets count as changed, and jobs have \
                     to sign in again"
                );
            }
            let key: [u8; 32] = rand::random();
            let beside = folder.join("fingerprint.key.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)
                .map_err(failed)?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed)?;
            std::fs::rename(&beside, &path).map_err(failed)?;
            Ok(key.to_vec())
        }
        Err(error) => Err(failed(error)),
    }
}

/// The id of the installation that a data folder is of; it is made if there is none yet.
///
/// # Errors
///
/// When the store cannot be opened.
pub async fn installation(config: &ServerConfig) -> Result<InstallationId, ServeError> {
    let (store, _folder) = open_beside(&config.data).await?;
    let installation = store.installation().await?;
    store.close().await;
    Ok(installation)
}

/// The store, for a command beside a service that may run. While the folder is nobody's it is the command's; otherwise the
/// store belongs to the service, and its schema is left alone.
pub(crate) async fn open_beside(folder: &Path) -> Result<(Store, Option<std::fs::File>), ServeError> {
    let now = Timestamp::now();
    match data_folder::try_claim(folder)? {
        Some(lock) => {
            data_folder::look_for_the_store(folder, Beginning::AsFound)?;
            Ok((Store::open(folder, now).await?, Some(lock)))
        }
        None => Ok((Store::open_as_it_is(folder, SHORTLY).await?, None)),
    }
}
