//! What a Dockerfile says of the app in it: where it listens, and how its health is checked. As far as it can be told
//! without building it: a variable that a build argument sets later has its default here.

mod copies;
mod database;
mod health;
mod instructions;
mod steps;
mod variables;

use std::collections::BTreeMap;

use copies::{Taken, taken};
use instructions::{Instruction, instructions, words};
use variables::Variables;

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
        /// The name.
        target: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "none with a name".to_owned() } else { known.join(", ") }
}

/// One `FROM` and what follows it.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: Option<String>,
    variables: Variables,
    /// Of each `EXPOSE`, in order.
    exposed: Vec<Vec<u16>>,
    /// The rest of the last `HEALTHCHECK`.
    health: Option<String>,
    /// The image that it begins with.
    base: String,
    copies: Vec<Copied>,
    /// The stages that it copies from, by their place.
    uses: Vec<usize>,
    /// Whether it starts something that is not its base image's.
    starts: bool,
}

fn stages(text: &str, given: &BTreeMap<String, String>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    // `ARG` before the first `FROM`: a stage has to ask for one by its name.
    let mut shared = Variables::default();
    for instruction in instructions(text) {
        let earlier = stages.len().saturating_sub(1);
        let place = |name: &str| {
            let by_name = stages.iter().take(earlier).rposition(|stage| stage.is_called(name));
            by_name.or_else(|| name.parse().ok().filter(|place| *place < earlier))
        };
        let takes = stages.last().map(|stage| taken(&instruction, &stage.variables)).unwrap_or_default();
        let takes: Vec<_> = takes
            .into_iter()
            .map(|taken| match taken {
                Taken::Context(copied) => Ok(copied),
                Taken::Stage(name) => Err(place(&name)),
            })
            .collect();
        if let Some(stage) = stages.last_mut() {
            for taken in takes {
                match taken {
                    Ok(copied) => stage.copies.push(copied),
                    Err(used) => stage.uses.extend(used),
                }
            }
        }
        match (instruction.word.as_str(), stages.last_mut()) {
            ("FROM", _) => {
                let stage = begin(&instruction, &shared, &stages);
                stages.push(stage);
            }
            ("ARG", None) => shared.arguments(&instruction.rest, &BTreeMap::new(), given),
            ("ARG", Some(stage)) => stage.variables.arguments(&instruction.rest, shared.all(), given),
            ("ENV", Some(stage)) => stage.variables.environment(&instruction.rest),
            ("EXPOSE", Some(stage)) => {
                let ports = words(&stage.variables.expand(&instruction.rest));
                stage.exposed.push(ports.iter().filter_map(|port| tcp_port(port)).collect());
            }
            ("HEALTHCHECK", Some(stage)) => stage.health = Some(instruction.rest),
            ("ENTRYPOINT", Some(stage)) => stage.starts = true,
            ("CMD", Some(stage)) => stage.starts |= !database::starts_it(&instruction.rest),
            _ => {}
        }
    }
    stages
}

/// A stage that is built from an earlier one has what that one has, but for its arguments.
fn begin(from: &Instruction, shared: &Variables, earlier: &[Stage]) -> Stage {
    let rest = shared.expand(&from.rest);
    let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    let (base, name) = match words[..] {
        [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => (base, Some(name.to_owned())),
        [base, ..] => (base, None),
        [] => ("", None),
    };
    let known = earlier.iter().rev().find(|stage| stage.is_called(base)).cloned();
    let base = known.unwrap_or_else(|| Stage { base: base.to_owned(), ..Stage::default() });
    Stage { name, variables: base.variables.without_arguments(), ..base }
}

impl Stage {
    fn is_called(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    fn said(&self) -> Said {
        let exposed = self.exposed.iter().rfind(|ports| !ports.is_empty()).and_then(|ports| ports.first().copied());
        let checked = self.health.as_deref().and_then(|rest| health::read(rest, exposed, &self.variables));
        let port = exposed.or(checked.as_ref().and_then(|checked| checked.port));
        let mut other_ports: Vec<u16> =
            self.exposed.iter().flatten().copied().filter(|other| Some(*other) != port).collect();
        other_ports.sort_unstable();
        other_ports.dedup();
        let database = Some(&self.base).filter(|base| !self.starts && database::is_database(base)).cloned();
        Said { port, other_ports, health: checked.map(|checked| checked.health), copies: Vec::new(), database }
    }
}

/// `3000`, `3000/tcp`, and of `3000-3009` the first.
fn tcp_port(text: &str) -> Option<u16> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let first = ports.split('-').next()?;
    first.parse().ok().filter(|port| *port > 0 && protocol.eq_ignore_ascii_case("tcp"))
}
