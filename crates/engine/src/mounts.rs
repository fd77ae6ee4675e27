//! What a container mounts of its host is what is there, not what it is called. A folder that a project may mount is
//! written to by its apps, and a symbolic link below it would lead the next mount anywhere.
//!
//! Two things hold at every start. Nothing between the allowed folder and what is mounted is a link: the engine itself
//! is asked, since its host may be another machine. And nobody can exchange that afterwards, before Docker mounts it or
//! when it starts the container again by itself: who has a folder above it writable does not run beside it.

mod look;

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum as State, MountPoint};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, ListVolumesOptions};
use windlass_core::config::Volume;

use crate::engine::Engine;
use crate::error::EngineError;

/// How Docker says that there is no such path.
const NO_SOURCE: &str = "bind source path does not exist:";

/// A path of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    /// As `windlass.toml` would have it; what it is called in the container does not matter here.
    volume: Volume,
    /// Whether it is named, or the volume that is bound to it.
    named: Named,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    ByItsPath,
    /// The path is the word of whoever made the volume.
    AsVolume,
}

/// Paths that volumes are bound to, by the volumes' names.
type BoundVolumes = BTreeMap<String, String>;

impl Engine {
    /// What the container mounts of its host; nothing for most.
    pub(crate) async fn binds(&self, container: &ContainerInspectResponse) -> Result<Vec<Bind>, EngineError> {
        let mounts = container.mounts.as_deref().unwrap_or_default();
        if mounts.is_empty() { Ok(Vec::new()) } else { Ok(binds(mounts, &self.bound_volumes().await?)) }
    }

    /// Refuses what a start of the container would mount, if that is not what it is called or may become something
    /// else. Hold the lock of mounts from before this call until the container runs.
    pub(crate) async fn check_mounts(
        &self,
        container: &ContainerInspectResponse,
        binds: &[Bind],
    ) -> Result<(), EngineError> {
        self.look_at(container, binds).await?;
        self.check_neighbours(container, binds).await
    }

    /// Whoever else could exchange what is mounted here, and whose mounts could be exchanged from here.
    pub(crate) async fn check_neighbours(
        &self,
        container: &ContainerInspectResponse,
        binds: &[Bind],
    ) -> Result<(), EngineError> {
        let own = container.name.as_deref().unwrap_or_default().trim_start_matches('/');
        let exchanged = binds.iter().find_map(|above| {
            let below = binds.iter().find(|below| above.volume.can_exchange(&below.volume))?;
            Some((above, below))
        });
        if let Some((above, below)) = exchanged {
            return Err(self.exchangeable(&below.volume.source, &above.volume.source, own));
        }
        let options = ListContainersOptions { all: true, ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        let volumes = self.bound_volumes().await?;
        for other in list.into_iter().filter(|other| other.id != container.id) {
            let theirs = crate::mounts::binds(other.mounts.as_deref().unwrap_or_default(), &volumes);
            let pairs = || theirs.iter().flat_map(|their| binds.iter().map(move |our| (&their.volume, &our.volume)));
            let Some((their, our)) = pairs().find(|(their, our)| their.can_exchange(our) || our.can_exchange(their))
            else {
                continue;
            };
            if !self.may_run(&other).await? {
                continue;
            }
            let name = other.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
            let name = name.or(other.id).unwrap_or_default();
            return Err(if their.can_exchange(our) {
                self.exchangeable(&our.source, &their.source, &name)
            } else {
                self.would_exchange(&our.source, &their.source, &name)
            });
        }
        Ok(())
    }

    /// Docker looks for itself whether a path is there when the container is made, and says so in its own words.
    pub(crate) fn missing_mount(&self, error: EngineError) -> EngineError {
        let words = error.to_string();
        match words.split_once(NO_SOURCE) {
            Some((_, path)) => self.not_there(path.trim(), path.trim()),
            None => error,
        }
    }

    /// Whether a container runs, or Docker may start it at any time.
    async fn may_run(&self, container: &ContainerSummary) -> Result<bool, EngineError> {
        match container.state {
            Some(State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING) => return Ok(true),
            // Nobody has started it yet, and Docker does not begin.
            Some(State::CREATED | State::REMOVING | State::DEAD) => return Ok(false),
            Some(State::EXITED | State::EMPTY) | None => {}
        }
        let id = container.id.as_deref().unwrap_or_default();
        let seen = match self.docker().inspect_container(id, None::<InspectContainerOptions>).await {
            Err(error) if windlass_docker::status(&error) == Some(404) => return Ok(false),
            seen => seen.map_err(|error| self.container_error("look at container", id, &error))?,
        };
        let policy = seen.host_config.and_then(|host| host.restart_policy?.name);
        Ok(policy.is_some_and(|policy| !matches!(policy.to_string().as_str(), "" | "no")))
    }

    async fn bound_volumes(&self) -> Result<BoundVolumes, EngineError> {
        let list = self.docker().list_volumes(None::<ListVolumesOptions>).await;
        let list = list.map_err(|error| self.error("list the volumes", &error))?;
        let volumes = list.volumes.unwrap_or_default().into_iter();
        let bound = volumes.filter_map(|volume| Some((volume.name, bound_to(|key| volume.options.get(key))?)));
        Ok(bound.collect())
    }

    fn exchangeable(&self, path: &str, above: &str, container: &str) -> EngineError {
        EngineError::Mount {
            host: self.host().clone(),
            path: path.to_owned(),
            reason: format!("{container} has {above} writable, and from there could put a link in its place"),
            remedy: format!(
                "let {container} mount {above} read-only (`:ro`), mount the same folder in both, or stop {container} \
                 first: `strategy = \"stop-first\"` where it is this app's own"
            ),
        }
    }

    fn would_exchange(&self, path: &str, below: &str, container: &str) -> EngineError {
        EngineError::Mount {
            host: self.host().clone(),
            path: path.to_owned(),
            reason: format!("{container} mounts {below}, and a link could be put in its place from {path}"),
            remedy: format!(
                "mount {path} read-only (`:ro`), mount the same folder in both, or stop {container} first: `strategy = \
                 \"stop-first\"` where it is this app's own"
            ),
        }
    }
}

fn binds(mounts: &[MountPoint], volumes: &BoundVolumes) -> Vec<Bind> {
    let bind = |mount: &MountPoint| {
        let (source, named) = match mount.typ.as_deref()? {
            "bind" => (mount.source.clone()?, Named::ByItsPath),
            "volume" => (volumes.get(mount.name.as_ref()?)?.clone(), Named::AsVolume),
            _ => return None,
        };
        let volume = Volume {
            source: shortest(&source),
            target: mount.destination.clone().unwrap_or_default(),
            read_only: mount.rw == Some(false),
        };
        Some(Bind { volume, named })
    };
    mounts.iter().filter_map(bind).collect()
}

/// What `docker volume create --opt type=none --opt o=bind --opt device=/path` leads to.
fn bound_to<'a>(option: impl Fn(&str) -> Option<&'a String>) -> Option<String> {
    let binds = option("o")?.split(',').any(|word| matches!(word, "bind" | "rbind"));
    option("device").filter(|device| binds && device.starts_with('/')).map(|device| shortest(device))
}

/// `..` cannot be understood without the host's files; Docker has taken it out already.
fn shortest(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_is_bound_to_a_path_counts_as_that_path() {
        let options = |o: &str, device: &str| {
            let options = BTreeMap::from([("o".to_owned(), o.to_owned()), ("device".to_owned(), device.to_owned())]);
            bound_to(|key| options.get(key))
        };
        assert_eq!(options("bind", "/srv//shop/").as_deref(), Some("/srv/shop"));
        assert_eq!(options("ro,rbind", "/srv/shop").as_deref(), Some("/srv/shop"));
        assert_eq!(options("addr=10.0.0.1,rw", ":/export"), None);
        assert_eq!(options("size=100m", "tmpfs"), None);
        assert_eq!(bound_to(|_| None), None);
    }
}
