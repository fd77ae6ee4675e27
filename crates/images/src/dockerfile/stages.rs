//! A Dockerfile's stages, with what each says and does.

use std::collections::BTreeMap;

use super::copies::{Copied, Taken, taken};
use super::instructions::{Instruction, instructions, words};
use super::variables::Variables;
use super::{Said, database, health};

/// What BuildKit counts as steps, besides the base image.
const LAYERS: [&str; 4] = ["ADD", "COPY", "RUN", "WORKDIR"];

/// One `FROM` and what follows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    pub(super) name: Option<String>,
    /// Where its `FROM` stands, from 1.
    pub(super) line: usize,
    /// The instructions that are steps of a build, each with its line.
    pub(super) layers: Vec<(String, usize)>,
    variables: Variables,
    /// Of each `EXPOSE`, in order.
    exposed: Vec<Vec<u16>>,
    /// The rest of the last `HEALTHCHECK`.
    health: Option<String>,
    /// The image that it begins with.
    base: String,
    pub(super) copies: Vec<Copied>,
    /// The stages that it copies from, by their place.
    pub(super) uses: Vec<usize>,
    /// Whether it starts something that is not its base image's.
    starts: bool,
}

/// What the build is `given` wins over what arguments are by default.
pub(super) fn stages(text: &str, given: &BTreeMap<String, String>) -> Vec<Stage> {
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
        if let Some(stage) = stages.last_mut()
            && LAYERS.contains(&instruction.word.as_str())
        {
            stage.layers.push((instruction.word.clone(), instruction.line));
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

/// A stage that is built from an earlier one has what that one has, but for its arguments and its steps.
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
    let variables = base.variables.without_arguments();
    Stage { name, line: from.line, layers: Vec::new(), variables, ..base }
}

impl Stage {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    pub(super) fn said(&self) -> Said {
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
