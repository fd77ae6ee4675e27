//! What a Dockerfile says of the app in it: where it listens, and how its health is checked. As far as it can be told
//! without building it: a variable that a build argument sets later has its default here.

mod copies;
mod database;
mod health;
mod instructions;
mod stages;
mod steps;
mod variables;

use std::collections::BTreeMap;

use stages::{Stage, stages};

pub use copies::Copied;
pub(crate) use steps::{instruction, line_of};

/// What was found in the stage that runs, and in the stages that it is built from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The first TCP port of the last `EXPOSE`; without one, the port that the health check asks.
    pub port: Option<u16>,
    /// The other ones.
    pub other_ports: Vec<u16>,
    /// How its health is checked, where it says so.
    pub health: Option<Health>,
    /// What it takes from the build's context.
    pub copies: Vec<Copied>,
    /// The database's image that it only adds to, if that is what it does.
    pub database: Option<String>,
}

/// How a Dockerfile's `HEALTHCHECK` is said in `windlass.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It asks the app's port for this path.
    Path(String),
    /// It does something else.
    Docker,
}

/// Reads the last stage, or the one that is named.
///
/// # Errors
///
/// When there is no such stage.
pub fn read(text: &str, target: Option<&str>) -> Result<Said, NotFound> {
    let stages = stages(text, &BTreeMap::new());
    let stage = meant(&stages, target)?;
    Ok(Said { copies: copies_of(&stages, stage), ..stage.said() })
}

/// What the last stage, or the one that is named, takes from the build's context with these build arguments.
///
/// # Errors
///
/// When there is no such stage.
pub fn copies(text: &str, target: Option<&str>, args: &BTreeMap<String, String>) -> Result<Vec<Copied>, NotFound> {
    let stages = stages(text, args);
    Ok(copies_of(&stages, meant(&stages, target)?))
}

fn meant<'a>(stages: &'a [Stage], target: Option<&str>) -> Result<&'a Stage, NotFound> {
    match target {
        None => stages.last().ok_or(NotFound::Stage),
        Some(target) => stages.iter().rev().find(|stage| stage.is_called(target)).ok_or_else(|| {
            let known = stages.iter().filter_map(|stage| stage.name.clone()).collect();
            NotFound::Target { target: target.to_owned(), known }
        }),
    }
}

/// Also what the stages take that it copies from: others are not built.
fn copies_of(stages: &[Stage], stage: &Stage) -> Vec<Copied> {
    let mut copies = stage.copies.clone();
    let mut open = stage.uses.clone();
    let mut seen = Vec::new();
    while let Some(index) = open.pop() {
        if let Some(used) = stages.get(index).filter(|_| !seen.contains(&index)) {
            copies.extend(used.copies.iter().cloned());
            open.extend(&used.uses);
            seen.push(index);
        }
    }
    copies.sort_by_key(|copied| copied.line);
    copies.dedup();
    copies
}

/// The stage that should be read is not there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is none at all.
    #[error("there is no `FROM` in it")]
    Stage,
    /// None of that name.
    #[error("it has no stage `{target}`; it has {}", listed(known))]
    Target {
        target: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "none with a name".to_owned() } else { known.join(", ") }
}
