//! Which apps a repository has: one Dockerfile at its root, or one in each app's folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use windlass_core::names::{AppName, ImageName};

use super::dockerfile::{self, Health};
use super::repository::named;
use crate::error::CommandError;
use crate::target::unreadable;

/// One image built from the repository.
pub(super) struct App {
    pub(super) name: AppName,
    pub(super) image: ImageName,
    /// What is built, from the repository's root.
    pub(super) folder: String,
    pub(super) port: u16,
    /// How the Dockerfile checks its health, where it does.
    pub(super) health: Option<Health>,
}

/// Where an app listens whose Dockerfile does not say it.
const USUAL_PORT: u16 = 3000;

/// Apps lie this many folders below the root at the most: `services/api`.
const DEEPEST: usize = 2;

/// Folders in which others' files lie.
const FOREIGN: [&str; 3] = ["node_modules", "target", "vendor"];

/// The apps, and what their owner should know of how they were read.
pub(super) fn find(
    root: &Path,
    image: &ImageName,
    target: Option<&str>,
) -> Result<(Vec<App>, Vec<String>), CommandError> {
    let mut notes = Vec::new();
    let mut folders = folders_with_dockerfile(root)?;
    if folders.first().is_some_and(|folder| folder == root) {
        let unused = folders.drain(1..).map(|folder| named(root, &folder));
        notes.extend(unused.map(|folder| format!("{folder}/Dockerfile is left out: the one at the root is the app's")));
    }
    let names = match folders[..] {
        [] => {
            let message = format!("there is no Dockerfile in {}, nor in the folders below it", root.display());
            return Err(CommandError::misused(message).hint("write one: it says how the app's image is built"));
        }
        [_] => vec![AppName::unnamed()],
        _ => names(root, &folders)?,
    };
    let alone = folders.len() == 1;
    let mut apps = Vec::new();
    for (name, folder) in names.into_iter().zip(&folders) {
        let image = if alone { image.clone() } else { format!("{image}-{name}").parse()? };
        apps.push(read(root, folder, name, image, target, &mut notes)?);
    }
    Ok((apps, notes))
}

fn read(
    root: &Path,
    folder: &Path,
    name: AppName,
    image: ImageName,
    target: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<App, CommandError> {
    let path = folder.join("Dockerfile");
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let shown = named(root, &path);
    let said = dockerfile::read(&text, target).map_err(|error| {
        CommandError::misused(format!("{shown}: {error}")).hint("--target names a stage: `FROM … AS name`")
    })?;
    let port = said.port.unwrap_or_else(|| {
        notes.push(format!("{shown} exposes no port: windlass.toml says {USUAL_PORT}; make it where the app listens"));
        USUAL_PORT
    });
    if !said.other_ports.is_empty() {
        let others: Vec<String> = said.other_ports.iter().map(u16::to_string).collect();
        notes.push(format!("{shown} exposes {} too: requests go to {port}", others.join(" and ")));
    }
    Ok(App { name, image, folder: named(root, folder), port, health: said.health })
}

/// In order, the root first.
fn folders_with_dockerfile(root: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
            let name = entry.file_name();
            let foreign = name.to_string_lossy().starts_with('.') || FOREIGN.iter().any(|foreign| name == *foreign);
            if kind.is_dir() && depth < DEEPEST && !foreign {
                open.push((entry.path(), depth + 1));
            } else if name == "Dockerfile" && entry.path().is_file() {
                found.push(folder.clone());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Each app is called after its folder; where several folders are called the same, after its whole path.
fn names(root: &Path, folders: &[PathBuf]) -> Result<Vec<AppName>, CommandError> {
    let paths: Vec<String> = folders.iter().map(|folder| named(root, folder)).collect();
    let last: Vec<Option<AppName>> = paths.iter().map(|path| app_name(path.rsplit('/').next()?)).collect();
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for (path, short) in paths.iter().zip(&last) {
        let alone = last.iter().filter(|other| *other == short).count() == 1;
        let name = if alone { short.clone() } else { app_name(path) };
        let name = name.filter(|name| taken.insert(name.clone())).ok_or_else(|| {
            CommandError::misused(format!("no app can be called after the folder {path}"))
                .hint("rename the folder, or write windlass.toml by hand: `windlass config --reference`")
        })?;
        names.push(name);
    }
    Ok(names)
}

fn app_name(text: &str) -> Option<AppName> {
    let fitting = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(fitting).collect::<String>().trim_matches(['-', '_']).parse().ok()
}
