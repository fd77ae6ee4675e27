//! What a stage takes from the build's context: by `COPY`, `ADD` and `RUN --mount=type=bind`. What comes from elsewhere,
//! or cannot be told before the build, is left out.

use super::instructions::{Instruction, words};
use super::variables::Variables;

/// What one instruction names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// From 1.
    pub line: usize,
    /// `COPY`
    pub word: String,
    /// Paths or patterns, from the context's root.
    pub sources: Vec<String>,
}

/// Where an instruction takes its files from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Context(Copied),
    /// Another stage, by its name or number, or an image.
    Stage(String),
}

pub(super) fn taken(instruction: &Instruction, variables: &Variables) -> Vec<Taken> {
    match instruction.word.as_str() {
        "COPY" | "ADD" => vec![copied(instruction, variables)],
        "RUN" => instruction.rest.split_whitespace().map_while(|word| word.strip_prefix("--")).fold(
            Vec::new(),
            |mut taken, flag| {
                taken.extend(flag.strip_prefix("mount=").and_then(|mount| mounted(instruction, mount, variables)));
                taken
            },
        ),
        _ => Vec::new(),
    }
}

fn copied(instruction: &Instruction, variables: &Variables) -> Taken {
    let mut rest = instruction.rest.as_str();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        if let Some(from) = flag.strip_prefix("from=") {
            return Taken::Stage(variables.expand(from));
        }
        rest = after.trim_start();
    }
    let as_list = || serde_json::from_str::<Vec<String>>(rest).ok();
    let mut named = as_list().filter(|_| rest.starts_with('[')).unwrap_or_else(|| words(rest));
    // The last is where to.
    named.pop();
    let sources = named.iter().filter(|name| !is_elsewhere(name)).filter_map(|name| variables.expand_known(name));
    let sources = sources.filter(|source| !is_elsewhere(source)).collect();
    Taken::Context(Copied { line: instruction.line, word: instruction.word.clone(), sources })
}

/// What stands in the Dockerfile itself, or is fetched.
fn is_elsewhere(source: &str) -> bool {
    source.starts_with("<<") || source.contains("://") || source.starts_with("git@")
}

fn mounted(instruction: &Instruction, mount: &str, variables: &Variables) -> Option<Taken> {
    let mount = variables.expand_known(mount)?;
    let key = |wanted: &[&str]| {
        let mut pairs = mount.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| wanted.contains(key)).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    if let Some(from) = key(&["from"]) {
        return Some(Taken::Stage(from));
    }
    let bound = key(&["type"]).is_none_or(|kind| kind == "bind");
    let source = key(&["source", "src"]).filter(|_| bound)?;
    Some(Taken::Context(Copied { line: instruction.line, word: "RUN --mount".to_owned(), sources: vec![source] }))
}
