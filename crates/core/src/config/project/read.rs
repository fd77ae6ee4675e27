//! From the file's text to its apps: shared keys under each app, overlays over all of it.

use std::collections::BTreeMap;

use super::app::{APP, read_app};
use super::role::ROLE;
use super::route::Routes;
use super::{ProjectConfig, ProjectFile};
use crate::config::ConfigError;
use crate::config::reader::{self, ConfigItem, Node, Reader, expect_schema, is_too_large};
use crate::names::{AppName, StageName};

const FILE: &[&str] = &["schema", "apps", "stages"];

/// The known keys by table, `*` for any name.
#[cfg(test)]
pub(in crate::config) const SECTIONS: &[(&str, &[&[&str]])] = &[
    ("", &[FILE, APP]),
    ("url", &[super::route::URL]),
    ("build", &[super::app::BUILD]),
    ("migrate", &[super::app::MIGRATE]),
    ("boot", &[super::app::BOOT]),
    ("errors", &[super::errors::ERRORS]),
    ("roles.*", &[super::role::ROLE_ONLY, ROLE]),
    ("roles.*.health", &[super::health::HEALTH]),
    ("roles.*.hold", &[super::role::HOLD]),
    ("roles.*.stop", &[super::role::STOP]),
    ("roles.*.resources", &[super::role::RESOURCES]),
    ("roles.*.log", &[super::sandbox::LOG]),
];

/// Whether what a file says without any stage is ever deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Whole,
    /// Its stages may say the rest.
    LeftToStages,
}

pub(super) fn read(file_name: &str, text: &str) -> Result<ProjectFile, ConfigError> {
    reader::read(file_name, text, |reader, root| {
        if is_too_large(ConfigItem { reader, node: root }) {
            return None;
        }
        expect_schema(&ConfigItem { reader, node: root }.table(&[FILE, APP, ROLE])?);
        let apps = root.without(&["schema", "stages"]);
        let stages = overlays(ConfigItem { reader, node: root });
        let completeness = if stages.is_empty() { Completeness::Whole } else { Completeness::LeftToStages };
        let plain = read_apps(reader, &apps, completeness);
        let stages = stages.into_iter().map(|(stage, overlay)| {
            let mut overlaid = apps.clone();
            overlaid.overlay(overlay.node);
            let found = Reader::default();
            let config = read_apps(&found, &overlaid, Completeness::Whole);
            reader.absorb(stage.as_str(), found);
            (stage, config)
        });
        Some(ProjectFile { plain, stages: stages.collect() })
    })
}

fn overlays(root: ConfigItem<'_>) -> Vec<(StageName, ConfigItem<'_>)> {
    let stages = root.table(&[FILE, APP, ROLE]).and_then(|file| file.get("stages"));
    let named = stages.map(|stages| stages.named::<StageName>()).unwrap_or_default();
    // Opened for its unknown keys and to be sure that it is a table; the values are read with the file below them.
    named.into_iter().filter(|(_, overlay)| overlay.table(&[&["apps"], APP, ROLE]).is_some()).collect()
}

fn read_apps(reader: &Reader, root: &Node, completeness: Completeness) -> ProjectConfig {
    let shared = root.without(&["apps"]);
    let named = ConfigItem { reader, node: root }.table(&[&["apps"], APP, ROLE]).and_then(|file| file.get("apps"));
    if let Some(named) = named.filter(|named| !named.is_table()) {
        named.mistyped("a table", Some("each app is a table of its own: `[apps.NAME]`".to_owned()));
    }
    let mut apps: Vec<(AppName, Node)> = Vec::new();
    match named.filter(|named| named.is_table()) {
        None => apps.push((AppName::unnamed(), shared)),
        Some(named) => {
            let entries = named.named::<AppName>();
            if named.is_empty_table() {
                named.contradict(
                    "`apps` names no app",
                    "add `[apps.NAME]`, or leave `apps` out: a single app needs no name",
                );
            }
            apps.extend(entries.into_iter().filter(|(_, app)| app.table(&[APP, ROLE]).is_some()).map(|(name, app)| {
                let mut node = shared.clone();
                node.overlay(app.node);
                (node.place, node.key_offset) = (app.node.place.clone(), app.node.key_offset);
                (name, node)
            }));
        }
    }
    let mut routes = Routes::default();
    let apps: BTreeMap<_, _> = apps
        .iter()
        .map(|(name, node)| {
            if completeness == Completeness::Whole {
                expect_something_to_run(ConfigItem { reader, node });
            }
            (name.clone(), read_app(name, ConfigItem { reader, node }, &mut routes))
        })
        .collect();
    ProjectConfig { apps }
}

/// A worker is said to be one; what only forgot its port would never get a request.
fn expect_something_to_run(app: ConfigItem<'_>) {
    if let Some(table) = app.table(&[APP, ROLE])
        && table.present(ROLE).is_empty()
        && table.present(&["url", "roles"]).is_empty()
    {
        app.contradict(
            "nothing says what to run: there is no `port`, no `url` and no role",
            "a web app needs `port = 3000` or a `url`; what takes no requests is a role: `[roles.worker]`",
        );
    }
}
