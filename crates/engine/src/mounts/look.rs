//! The look at what a path is on its host: a container that never runs has the allowed folder mounted, and the engine
//! tells of each file in it what it is.

use std::collections::BTreeMap;

use bollard::container::PathStatResponse;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, MountType};
use bollard::query_parameters::{ContainerArchiveInfoOptions, CreateContainerOptions, RemoveContainerOptions};
use windlass_core::labels::{self, Kind};
use windlass_docker::status;

use super::{Bind, Named};
use crate::engine::Engine;
use crate::error::EngineError;

/// Where the folder is in the container that looks at it.
const LOOK: &str = "/windlass-look";

/// As Go writes the kind of a file.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const ODD: u32 = (1 << 25) | (1 << 21) | (1 << 19);

impl Engine {
    /// Refuses a path of which some part below the allowed folder is a link, or is not there. The folder itself is the
    /// word of whoever wrote the server's file.
    pub(super) async fn look_at(
        &self,
        container: &ContainerInspectResponse,
        binds: &[Bind],
    ) -> Result<(), EngineError> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Bind { volume, named } in binds {
            let root = match (self.allowed_above(&volume.source), named) {
                (Some(root), _) => root,
                (None, Named::AsVolume) => continue,
                // Nobody said how far the path is his word: none of it is.
                (None, Named::ByItsPath) => "/",
            };
            if root != volume.source {
                below.entry(root).or_default().push(&volume.source);
            }
        }
        for (root, paths) in below {
            let id = self.make_look(container, root).await?;
            let mut looked = Ok(());
            for path in paths {
                looked = self.look_down(&id, root, path).await;
                if looked.is_err() {
                    break;
                }
            }
            let removed = self.remove_look(&id).await;
            looked.and(removed)?;
        }
        Ok(())
    }

    /// The outermost: an app of another project may write all that is below it.
    fn allowed_above<'a>(&'a self, path: &str) -> Option<&'a str> {
        let covers = |root: &&str| {
            *root == "/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.mountable().iter().map(String::as_str).filter(covers).min_by_key(|root| root.len())
    }

    async fn look_down(&self, id: &str, root: &str, path: &str) -> Result<(), EngineError> {
        let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let parts: Vec<&str> = below.split('/').collect();
        for length in 1..=parts.len() {
            let part = parts[..length].join("/");
            let shown = format!("{}/{part}", root.trim_end_matches('/'));
            let options = ContainerArchiveInfoOptions { path: format!("{LOOK}/{part}") };
            let found = match self.docker().get_container_archive_info(id, Some(options)).await {
                Ok(found) => found,
                Err(error) if status(&error) == Some(404) => return Err(self.not_there(path, &shown)),
                Err(error) => return Err(self.error(format!("look at {shown}"), &error)),
            };
            if let Some(wrong) = wrong_with(&found, root, length < parts.len()) {
                return Err(EngineError::Mount {
                    host: self.host().clone(),
                    path: path.to_owned(),
                    reason: format!("{shown} is {wrong}"),
                    remedy: format!(
                        "name what is meant by its own path, without links, and let `limits.volumes` of the server's \
                         file allow it; what lies below {root} is whatever an app has put there"
                    ),
                });
            }
        }
        Ok(())
    }

    pub(super) fn not_there(&self, path: &str, shown: &str) -> EngineError {
        EngineError::Mount {
            host: self.host().clone(),
            path: path.to_owned(),
            reason: format!("there is no {shown}"),
            remedy: format!("make it on host {}: what a task mounts is not made by itself", self.host()),
        }
    }

    /// It is the task's, so that it goes with it should nobody be left to remove it.
    async fn make_look(&self, container: &ContainerInspectResponse, root: &str) -> Result<String, EngineError> {
        let task = container.name.as_deref().unwrap_or_default().trim_start_matches('/');
        let name = format!("{task}-look");
        let mut labels = container.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        labels.insert(labels::KIND.to_owned(), Kind::Task.as_str().to_owned());
        let mount = Mount {
            typ: Some(MountType::BIND),
            source: Some(root.to_owned()),
            target: Some(LOOK.to_owned()),
            read_only: Some(true),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: container.image.clone(),
            entrypoint: Some(vec!["never".to_owned()]),
            labels: Some(labels),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let create = || {
            let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
            self.docker().create_container(Some(options), body.clone())
        };
        let created = match create().await {
            // A service that was killed has left it.
            Err(error) if status(&error) == Some(409) => {
                self.inspect(&name).await?;
                self.remove_look(&name).await?;
                create().await
            }
            created => created,
        };
        created.map(|created| created.id).map_err(|error| match status(&error) {
            Some(400) if windlass_docker::words(&error).contains("does not exist") => self.not_there(root, root),
            _ => self.error(format!("look at {root}"), &error),
        })
    }

    async fn remove_look(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match self.docker().remove_container(id, Some(options)).await {
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            removed => removed.map_err(|error| self.container_error("remove", id, &error)),
        }
    }
}

/// `None`: it is a folder, or the file or socket that is meant.
fn wrong_with(found: &PathStatResponse, root: &str, leads_on: bool) -> Option<String> {
    let mode = found.file_mode;
    if mode & SYMLINK != 0 {
        let target = match found.link_target.strip_prefix(LOOK) {
            Some(rest) => format!("{}{rest}", root.trim_end_matches('/')),
            None => found.link_target.clone(),
        };
        return Some(format!("a symbolic link to {target}"));
    }
    if mode & (DEVICE | ODD) != 0 {
        return Some("neither a file nor a folder".to_owned());
    }
    (leads_on && mode & DIRECTORY == 0).then(|| "not a folder".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file_mode: u32, link_target: &str) -> PathStatResponse {
        let (name, link_target) = (String::new(), link_target.to_owned());
        PathStatResponse { name, size: 0, file_mode, modification_time: None, link_target }
    }

    #[test]
    fn only_folders_lead_on_and_no_link_does() {
        assert_eq!(wrong_with(&found(DIRECTORY | 0o755, ""), "/srv", true), None);
        assert_eq!(wrong_with(&found(0o644, ""), "/srv", false), None);
        assert_eq!(wrong_with(&found((1 << 24) | 0o755, ""), "/srv", false), None, "a socket may be meant");
        let said = |mode, target: &str, leads_on| wrong_with(&found(mode, target), "/srv", leads_on).unwrap();
        assert_eq!(said(0o644, "", true), "not a folder");
        assert_eq!(said(SYMLINK | 0o777, "/etc", false), "a symbolic link to /etc");
        assert_eq!(said(SYMLINK | 0o777, "/windlass-look/a", true), "a symbolic link to /srv/a");
        assert_eq!(said(DEVICE | (1 << 21) | 0o600, "", false), "neither a file nor a folder");
    }
}
