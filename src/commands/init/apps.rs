//! Which apps a repository has: one Dockerfile at its root, or one in each app's folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use windlass_core::names::{AppName, ImageName};
use windlass_images::dockerfile::{self, Health, Said};

use super::context::{self, ContextPlace};
use super::repository::named;
use crate::commands::init::Init;
use crate::error::CommandError;
use crate::target::unreadable;

/// One image built from the repository.
pub(super) struct App {
    pub(super) name: AppName,
    pub(super) image: ImageName,
    /// What is built, from the repository's root.
    pub(super) context: String,
    /// From the context, where it is not simply `Dockerfile`.
    pub(super) dockerfile: Option<String>,
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

/// What an app's Dockerfile is called unless something else is said.
const USUAL: &str = "Dockerfile";

/// A Dockerfile that was found and read.
struct Read {
    path: PathBuf,
    said: Said,
}

impl Read {
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// The apps, and what their owner should know of how they were read.
pub(super) fn find(root: &Path, image: &ImageName, arguments: &Init) -> Result<(Vec<App>, Vec<String>), CommandError> {
    let mut notes = Vec::new();
    let target = arguments.target.as_deref();
    let mut found = match &arguments.dockerfile {
        Some(path) => vec![read(root, &given(root, path)?, target)?],
        None => {
            let (paths, others) = dockerfiles(root)?;
            let all = paths.iter().map(|path| read(root, path, target)).collect::<Result<Vec<_>, _>>()?;
            let (databases, apps): (Vec<Read>, Vec<Read>) = all.into_iter().partition(|it| it.said.database.is_some());
            let left_out = databases.iter().filter_map(|it| Some((named(root, &it.path), it.said.database.as_ref()?)));
            let left_out =
                left_out.map(|(path, base)| format!("{path} is left out: it only adds to {base}, and is no app"));
            let left_out: Vec<String> = left_out.collect();
            if apps.is_empty() {
                return Err(no_dockerfile(root, &others, &left_out));
            }
            notes.extend(left_out);
            apps
        }
    };
    if arguments.dockerfile.is_none() && found[0].folder() == root {
        let unused = found.drain(1..).map(|it| named(root, &it.path));
        notes.extend(unused.map(|path| format!("{path} is left out: the one at the root is the app's")));
    }
    let folders: Vec<PathBuf> = found.iter().map(|it| it.folder().to_owned()).collect();
    let alone = found.len() == 1;
    let names = if alone { vec![AppName::unnamed()] } else { names(root, &folders)? };
    let mut apps = Vec::new();
    for (name, dockerfile) in names.into_iter().zip(found) {
        let image = if alone { image.clone() } else { format!("{image}-{name}").parse()? };
        apps.push(app(root, dockerfile, name, image, &mut notes));
    }
    Ok((apps, notes))
}

fn no_dockerfile(root: &Path, others: &[PathBuf], left_out: &[String]) -> CommandError {
    let message = format!("there is no Dockerfile in {}, nor in the folders below it", root.display());
    let others: Vec<String> = others.iter().map(|path| named(root, path)).collect();
    let error = match &others[..] {
        [] => CommandError::misused(message).hint("write one: it says how the app's image is built"),
        [first, ..] => CommandError::misused(format!("{message}; there is {}", others.join(" and ")))
            .hint(format!("say which is the app's: `windlass init --dockerfile {first}`")),
    };
    error.details(left_out.iter().map(|left_out| format!("  {left_out}")))
}

/// The one that was named, from the folder that the command was run in.
fn given(root: &Path, path: &Path) -> Result<PathBuf, CommandError> {
    let found = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let root_itself = root.canonicalize().map_err(|error| unreadable(root, &error))?;
    let below = found.strip_prefix(&root_itself).map_err(|_| {
        CommandError::misused(format!("{} lies outside of the repository", path.display()))
            .hint("name a Dockerfile of this repository with --dockerfile")
    })?;
    Ok(root.join(below))
}

fn read(root: &Path, path: &Path, target: Option<&str>) -> Result<Read, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let shown = named(root, path);
    let said = dockerfile::read(&text, target).map_err(|error| {
        CommandError::misused(format!("{shown}: {error}")).hint("--target names a stage: `FROM … AS name`")
    })?;
    Ok(Read { path: path.to_owned(), said })
}

fn app(root: &Path, read: Read, name: AppName, image: ImageName, notes: &mut Vec<String>) -> App {
    let (shown, folder) = (named(root, &read.path), named(root, read.folder()));
    let file = named(read.folder(), &read.path);
    let said = read.said;
    let port = said.port.unwrap_or_else(|| {
        notes.push(format!("{shown} exposes no port: windlass.toml says {USUAL_PORT}; make it where the app listens"));
        USUAL_PORT
    });
    if !said.other_ports.is_empty() {
        let others: Vec<String> = said.other_ports.iter().map(u16::to_string).collect();
        notes.push(format!("{shown} exposes {} too: requests go to {port}", others.join(" and ")));
    }
    let choice = context::choose(root, &folder, &file, &said.copies);
    notes.extend(choice.notes);
    let (context, dockerfile) = match choice.context {
        ContextPlace::Root => (".".to_owned(), shown),
        ContextPlace::Folder => (folder, file),
    };
    let dockerfile = Some(dockerfile).filter(|dockerfile| dockerfile != USUAL);
    App { name, image, context, dockerfile, port, health: said.health }
}

/// In order, the root first; and files that only look like one.
fn dockerfiles(root: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), CommandError> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
            let name = entry.file_name();
            let foreign = name.to_string_lossy().starts_with('.') || FOREIGN.iter().any(|foreign| name == *foreign);
            if kind.is_dir() && depth < DEEPEST && !foreign {
                open.push((entry.path(), depth + 1));
            } else if !entry.path().is_file() {
            } else if name == USUAL {
                found.push(entry.path());
            } else if looks_like_one(&name.to_string_lossy()) {
                others.push(entry.path());
            }
        }
    }
    found.sort_by(|one, other| one.parent().cmp(&other.parent()));
    others.sort();
    Ok((found, others))
}

/// `Dockerfile.prod`, `app.Dockerfile`, `Containerfile`.
fn looks_like_one(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let called = |usual: &str| {
        let rest = name.strip_prefix(usual).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']));
        rest || name.strip_suffix(usual).is_some_and(|before| before.ends_with(['.', '-', '_']))
    };
    (called("dockerfile") || called("containerfile")) && !name.ends_with("ignore")
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
