//! From which folder an app is built: its own, or the repository's root where only there is what its Dockerfile copies.

use std::path::Path;

use windlass_images::ContextFolder;
use windlass_images::dockerfile::Copied;

/// A folder to build in, and what it lacks.
pub(super) struct Choice {
    pub(super) context: ContextPlace,
    pub(super) notes: Vec<String>,
}

/// Where the context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContextPlace {
    Folder,
    Root,
}

/// Files that bind the folders of a repository together, and what in them says so.
const WORKSPACES: [(&str, &str); 12] = [
    ("pnpm-workspace.yaml", ""),
    ("package.json", "\"workspaces\""),
    ("lerna.json", ""),
    ("nx.json", ""),
    ("turbo.json", ""),
    ("rush.json", ""),
    ("go.work", ""),
    ("Cargo.toml", "[workspace]"),
    ("pyproject.toml", ".workspace]"),
    ("settings.gradle", "include"),
    ("settings.gradle.kts", "include"),
    ("pom.xml", "<modules>"),
];

/// `folder` and `dockerfile` are paths from the root.
pub(super) fn choose(root: &Path, folder: &str, dockerfile: &str, copies: &[Copied]) -> Choice {
    let shown = if folder == "." { dockerfile.to_owned() } else { format!("{folder}/{dockerfile}") };
    let of_root = lacking(root, Path::new(&shown), copies);
    if folder == "." {
        let notes = of_root.iter().map(|(line, source)| format!("{shown}:{line} copies {source}, which is not there"));
        return Choice { context: ContextPlace::Root, notes: notes.collect() };
    }
    let of_folder = lacking(&root.join(folder), Path::new(dockerfile), copies);
    let context = if of_root.len() < of_folder.len() { ContextPlace::Root } else { ContextPlace::Folder };
    let mut notes = Vec::new();
    let left = if context == ContextPlace::Root { &of_root } else { &of_folder };
    for (line, source) in left {
        let neither = of_root.contains(&(*line, source)) && of_folder.contains(&(*line, source));
        let place = match (neither, context) {
            (true, _) => format!("is neither in {folder} nor at the root"),
            (false, ContextPlace::Root) => "is not at the root, where it is built".to_owned(),
            (false, ContextPlace::Folder) => format!("is not in {folder}, where it is built"),
        };
        notes.push(format!("{shown}:{line} copies {source}, which {place}"));
    }
    if context == ContextPlace::Root {
        let (line, source) = of_folder[0];
        notes.push(format!("{shown} is built at the root: its line {line} copies {source}, which is only there"));
    } else if let Some(file) = workspace(root).filter(|_| of_root.is_empty() && !copies.is_empty()) {
        notes.push(format!(
            "{shown} is built in {folder}, and {file} binds that to the rest: if it needs more than its folder, write \
             `build = {{ dockerfile = \"{shown}\" }}` without `context`"
        ));
    }
    Choice { context, notes }
}

/// What a folder lacks of what is copied, with the line.
fn lacking<'a>(context: &Path, dockerfile: &Path, copies: &'a [Copied]) -> Vec<(usize, &'a str)> {
    let Ok(context) = ContextFolder::open(context, dockerfile) else { return Vec::new() };
    let sources = copies.iter().flat_map(|copied| copied.sources.iter().map(|source| (copied.line, source.as_str())));
    sources.filter(|(_, source)| context.lacks(source).is_some()).collect()
}

fn workspace(root: &Path) -> Option<&'static str> {
    let says =
        |(file, word): &&(&str, &str)| std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(word));
    WORKSPACES.iter().find(says).map(|(file, _)| *file)
}
