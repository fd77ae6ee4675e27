//! What tests speak of.

use std::collections::BTreeMap;

use windlass_core::config::{Resources, Sandbox, Stop};
use windlass_core::labels::{Kind, TaskLabels};
use windlass_core::names::{AppName, Generation, InstallationId, ReleaseNumber, RepositoryId, RoleName};
use windlass_core::task::{Image, TaskSpec};

/// A service task of release 3 of the one app of production, on host `a`.
pub(crate) fn task(name: &str) -> TaskSpec {
    TaskSpec {
        name: name.to_owned(),
        host: "a".parse().unwrap(),
        image: Image { name: None, digest: format!("sha256:{}", "1".repeat(64)).parse().unwrap() },
        command: None,
        env: BTreeMap::new(),
        secrets: Vec::new(),
        labels: TaskLabels {
            installation: InstallationId(uuid::Uuid::from_u128(1)),
            project: RepositoryId(7),
            project_name: "acme/shop".parse().unwrap(),
            stage: "production".parse().unwrap(),
            app: AppName::unnamed(),
            role: RoleName::unnamed(),
            release: ReleaseNumber(3),
            deployment: None,
            generation: Generation(4),
            kind: Kind::Service,
        },
        port: Some(3000),
        health: None,
        resources: Resources::default(),
        volumes: Vec::new(),
        stop: Stop::default(),
        sandbox: Sandbox::default(),
    }
}
