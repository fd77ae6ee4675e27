//! The files through which a step speaks to the runner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::commands::Log;
use crate::world::write;

/// A summary that is larger is dropped.
const SUMMARY_LIMIT: usize = 1024 * 1024;

/// Each file: its variable and how its name begins.
const FILES: [(&str, &str); 5] = [
    ("GITHUB_ENV", "set_env_"),
    ("GITHUB_OUTPUT", "set_output_"),
    ("GITHUB_PATH", "add_path_"),
    ("GITHUB_STATE", "save_state_"),
    ("GITHUB_STEP_SUMMARY", "step_summary_"),
];

/// One step's.
pub(super) struct FileCommands {
    folder: PathBuf,
    suffix: Uuid,
}

impl FileCommands {
    /// Empty files under names that no earlier step had.
    pub(super) fn create(folder: &Path) -> Self {
        let files = Self { folder: folder.to_owned(), suffix: Uuid::new_v4() };
        for (_, prefix) in FILES {
            write(&files.folder.join(files.name(prefix)), "");
        }
        files
    }

    /// Where they are in the container.
    pub(super) fn variables(&self, folder: &str) -> BTreeMap<String, String> {
        FILES.map(|(variable, prefix)| (variable.to_owned(), format!("{folder}/{}", self.name(prefix)))).into()
    }

    pub(super) fn outputs(&self) -> BTreeMap<String, String> {
        pairs(&self.text("set_output_")).unwrap_or_else(|error| panic!("the runner fails the step: {error}"))
    }

    /// As people see it.
    pub(super) fn summary(&self, log: &mut Log) -> String {
        let text = self.text("step_summary_");
        if text.len() > SUMMARY_LIMIT {
            log.complain(&format!("$GITHUB_STEP_SUMMARY supports content up to 1024k, got {}k", text.len() / 1024));
            return String::new();
        }
        log.masked(&text)
    }

    fn text(&self, prefix: &str) -> String {
        std::fs::read_to_string(self.folder.join(self.name(prefix))).unwrap()
    }

    fn name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.suffix)
    }
}

/// `NAME=value`, or `NAME<<DELIMITER` with the value's lines up to the delimiter alone on one. What is said last counts.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        let (name, value) = match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                (&line[..equals], line[equals + 1..].to_owned())
            }
            (_, Some(heredoc)) => {
                let delimiter = &line[heredoc + 2..];
                let mut value = Vec::new();
                loop {
                    let next = lines.next().ok_or_else(|| format!("no line is the delimiter `{delimiter}`"))?;
                    if next == delimiter {
                        break;
                    }
                    value.push(next);
                }
                (&line[..heredoc], value.join("\n"))
            }
            (_, None) => return Err(format!("invalid format `{line}`")),
        };
        if name.is_empty() || line.ends_with("<<") {
            return Err(format!("a name or a delimiter is missing in `{line}`"));
        }
        pairs.insert(name.to_owned(), value);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_the_last_word_counts() {
        let read =
            pairs("release=6\n\nreason<<EOF\nno=1\nx<<y\nEOF\nempty<<E\nE\nurl=http://a?b=c<<d\nrelease=7").unwrap();
        let expected = [("empty", ""), ("reason", "no=1\nx<<y"), ("release", "7"), ("url", "http://a?b=c<<d")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_the_runner_cannot_read_fails_the_step() {
        assert_eq!(pairs("reason<<EOF\nno end").unwrap_err(), "no line is the delimiter `EOF`");
        assert_eq!(pairs("a second line").unwrap_err(), "invalid format `a second line`");
        assert!(pairs("=nobody").is_err());
    }

    #[test]
    fn a_summary_is_masked_and_dropped_when_it_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileCommands::create(folder.path());
        let path = folder.path().join(files.name("step_summary_"));
        let mut log = Log::hiding(&["hunter2".to_owned()]);
        write(&path, "with hunter2");
        assert_eq!(files.summary(&mut log), "with ***");
        write(&path, &"x".repeat(SUMMARY_LIMIT + 1));
        assert_eq!(files.summary(&mut log), "");
        assert_eq!(log.annotations().len(), 1);
    }
}
