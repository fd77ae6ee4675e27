//! A BuildKit of its own, in a container, for what the one inside of the engine cannot do. It lives for one build: it
//! ends with the connection that it was started over, so that also a job that is killed leaves nothing behind.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::grpc::BuildRef;
use bollard::grpc::build::moby::buildkit::v1::InfoRequest;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_docker::{status, words};
use windlass_registry::RegistryCredentials;

use super::connection::{self, Control};
use super::diagnosis;

/// BuildKit's official image, version 0.32.2, for all platforms that it has. A newer one goes with a look at its
/// changes, and at what `docs/decisions/0011` says was seen with it.
pub(super) const BUILDKIT: &str =
    "moby/buildkit@sha256:28a898719c18a33f4e8000685287fa36fd0dd9560c6440227d3a732d79bb41d8";

/// What a builder container has, whoever started it.
const LABEL: &str = "windlass.buildkit";

/// Where BuildKit keeps what it works on.
const STATE: &str = "/var/lib/buildkit";

/// BuildKit, for as long as somebody holds the other end of its standard input.
const UNTIL_LEFT: &str = "exec 3<&0 </dev/null; { cat <&3 >/dev/null; kill -KILL $$; } & exec buildkitd 3<&-";

/// Where steps get their control groups, which only privileged containers may make unless they say so.
const WITH_CONTROL_GROUPS: &str =
    "for groups in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw $groups 2>/dev/null; done; ";

/// What a container may do to the machine. BuildKit mounts the layers that it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// All that the engine has.
    Privileged,
    /// What BuildKit needs of it, for engines that run in a container themselves and have not everything to give.
    ToMount,
}

/// How long the engine may take to fetch the image: a build without a cache takes less than more of it.
const FETCH: Duration = Duration::from_secs(5 * 60);

/// How long BuildKit may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// How long until it is asked again, when it says nothing meanwhile.
const AGAIN: Duration = Duration::from_millis(250);

/// A container that was made, and never started, is nobody's any more after so many seconds.
const FORGOTTEN: i64 = 60 * 60;

/// How many of its last lines are kept, for the case that it ends.
const KEPT_LINES: usize = 5;

/// Where builder containers are made.
pub(super) struct Yard {
    pub(super) docker: Docker,
    /// What is run.
    pub(super) image: String,
    /// Logins for its registry, among others.
    pub(super) credentials: Vec<(String, RegistryCredentials)>,
    /// Whether it must reach what listens on the engine's machine only.
    pub(super) on_the_engines_network: bool,
}

/// A BuildKit that runs. Whoever drops it ends it.
pub(super) struct BuilderContainer {
    docker: Docker,
    id: String,
    said: watch::Receiver<u64>,
    last_lines: LastLines,
    /// Holds the other end of its standard input.
    _listening: JoinSet<()>,
}

type LastLines = Arc<Mutex<VecDeque<String>>>;

impl Yard {
    /// Starts a BuildKit that answers. `Err` is why there is none, in words.
    pub(super) async fn start(&self) -> Result<(BuilderContainer, Control), String> {
        self.remove_forgotten().await;
        let fetched = tokio::time::timeout(FETCH, self.fetch()).await.unwrap_or(Err(Error::RequestTimeoutError));
        fetched.map_err(|error| format!("{} cannot be had: {}", self.image, words(&error)))?;
        let container = match self.run(Rights::Privileged).await {
            Err(error) if status(&error).is_some() => self.run(Rights::ToMount).await,
            container => container,
        };
        let container =
            container.map_err(|error| format!("the builder container does not start: {}", words(&error)))?;
        match tokio::time::timeout(START, container.until_it_answers()).await {
            Ok(Ok(control)) => Ok((container, control)),
            Ok(Err(reason)) => Err(container.gone(&reason)),
            Err(_) => {
                let reason = container.gone("it did not answer in time");
                container.remove().await;
                Err(reason)
            }
        }
    }

    /// What a job that was killed in the wrong moment has made and not started. What ran ends by itself.
    async fn remove_forgotten(&self) {
        let state = ["created", "exited", "dead"].map(str::to_owned).to_vec();
        let filters = HashMap::from([("label", vec![LABEL.to_owned()]), ("status", state)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let now = Timestamp::now().as_second();
        for container in self.docker.list_containers(Some(options)).await.unwrap_or_default() {
            if let (Some(id), Some(created)) = (container.id, container.created)
                && now - created > FORGOTTEN
            {
                remove(&self.docker, &id).await;
            }
        }
    }

    async fn fetch(&self) -> Result<(), Error> {
        match self.docker.inspect_image(&self.image).await {
            Err(error) if status(&error) == Some(404) => {}
            there => return there.map(drop),
        }
        let registry = diagnosis::registry(&self.image);
        let login = self.credentials.iter().find(|(host, _)| host == registry);
        let login = login.map(|(host, login)| windlass_docker::login(&login.username, &login.password, host));
        let options = CreateImageOptionsBuilder::new().from_image(&self.image).build();
        self.docker.create_image(Some(options), None, login).try_for_each(|_| async { Ok(()) }).await
    }

    async fn run(&self, rights: Rights) -> Result<BuilderContainer, Error> {
        let name = format!("windlass-buildkit-{}", BuildRef::random().as_ref());
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let id = self.docker.create_container(Some(options), self.container(rights)).await?.id;
        let started = self.attach_and_start(&id).await;
        if started.is_err() {
            remove(&self.docker, &id).await;
        }
        started
    }

    fn container(&self, rights: Rights) -> ContainerCreateBody {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let mut host = HostConfig {
            userns_mode: Some("host".to_owned()),
            // It ends without cleaning up what it has started.
            init: Some(true),
            auto_remove: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            network_mode: self.on_the_engines_network.then(|| "host".to_owned()),
            // Without a name, it goes with the container.
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                target: Some(STATE.to_owned()),
                ..Mount::default()
            }]),
            ..HostConfig::default()
        };
        let mut script = UNTIL_LEFT.to_owned();
        match rights {
            Rights::Privileged => host.privileged = Some(true),
            Rights::ToMount => {
                script.insert_str(0, WITH_CONTROL_GROUPS);
                host.cap_add = words(&["SYS_ADMIN"]);
                host.security_opt = words(&["apparmor=unconfined", "label=disable", "seccomp=unconfined"]);
                (host.masked_paths, host.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
            }
        }
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: words(&["sh", "-c", &script]),
            cmd: Some(Vec::new()),
            labels: Some(HashMap::from([(LABEL.to_owned(), env!("CARGO_PKG_VERSION").to_owned())])),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }

    async fn attach_and_start(&self, id: &str) -> Result<BuilderContainer, Error> {
        let options = AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true).build();
        let attached = self.docker.attach_container(id, Some(options)).await?;
        let (heard, said) = watch::channel(0);
        let last_lines = LastLines::default();
        let mut listening = JoinSet::new();
        listening.spawn(listen(attached, last_lines.clone(), heard));
        self.docker.start_container(id, None).await?;
        let (docker, id) = (self.docker.clone(), id.to_owned());
        Ok(BuilderContainer { docker, id, said, last_lines, _listening: listening })
    }
}

impl BuilderContainer {
    /// It says when it has begun; that it answers is what counts.
    async fn until_it_answers(&self) -> Result<Control, String> {
        let mut said = self.said.clone();
        loop {
            let asked = connection::to_container(self.docker.clone(), self.id.clone())
                .map_err(|error| diagnosis::chain(&error))
                .and_then(|mut control| async move {
                    let info = control.info(InfoRequest {}).await;
                    info.map(|_| control).map_err(|error| error.message().to_owned())
                });
            match asked.await {
                Ok(control) => return Ok(control),
                Err(error) => tracing::debug!(%error, "BuildKit does not answer yet"),
            }
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, said.changed()).await {
                return Err("it ended".to_owned());
            }
        }
    }

    /// Why it does not go on, with what it said last.
    pub(super) fn gone(&self, reason: &str) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let said = if lines.is_empty() { String::new() } else { format!("; its last lines: {}", lines.join(" / ")) };
        format!("the builder container does not answer: {reason}{said}")
    }

    /// Ends it now, and what it kept goes with it.
    pub(super) async fn remove(self) {
        remove(&self.docker, &self.id).await;
    }
}

/// One that is not there, or on its way out, is what was asked for; any other would go with its connection.
async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Err(error) if !matches!(status(&error), Some(404 | 409)) => {
            tracing::debug!(id, error = words(&error), "the builder container stays");
        }
        _ => {}
    }
}

async fn listen(mut attached: AttachContainerResults, last_lines: LastLines, heard: watch::Sender<u64>) {
    while let Some(Ok(piece)) = attached.output.next().await {
        let mut kept = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in piece.to_string().lines() {
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line.to_owned());
        }
        heard.send_modify(|times| *times += 1);
    }
}
