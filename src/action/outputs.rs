//! What the step leaves behind: the only writer of the runner's files.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use crate::error::CommandError;

/// A step's summary may have 1 MiB; the runner drops a longer one with an error (actions/runner, `FileCommandManager`).
const SUMMARY_LIMIT: usize = 1024 * 1024;

/// What the summary ends with when it is cut.
const CUT: &str = "\n\n_The rest does not fit into a step's summary; see the step's log._\n";

/// The outputs of `action.yml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Release,
    Digest,
    Image,
    DeploymentId,
    DeploymentUrl,
    EnvironmentUrl,
    Status,
    Reason,
}

impl Output {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Digest => "digest",
            Self::Image => "image",
            Self::DeploymentId => "deployment-id",
            Self::DeploymentUrl => "deployment-url",
            Self::EnvironmentUrl => "environment-url",
            Self::Status => "status",
            Self::Reason => "reason",
        }
    }
}

/// The files that the runner reads when the step has ended. It has made them, and they stay its own: they are only
/// appended to. `None`: nobody reads them, as on a developer's machine.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(super) outputs: Option<PathBuf>,
    pub(super) summary: Option<PathBuf>,
}

impl Outputs {
    /// Sets an output; what is set last counts.
    ///
    /// # Errors
    ///
    /// When the runner's file cannot be written.
    pub(crate) fn set(&self, output: Output, value: &str) -> Result<(), CommandError> {
        let Some(path) = &self.outputs else { return Ok(()) };
        append(path, &entry(output.name(), value, &delimiter()))
    }

    /// Adds to the step's summary, as far as it fits.
    ///
    /// # Errors
    ///
    /// When the runner's file cannot be written.
    pub(crate) fn summarize(&self, markdown: &str) -> Result<(), CommandError> {
        let Some(path) = &self.summary else { return Ok(()) };
        let there = std::fs::metadata(path).map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
        append(path, &cut(markdown, SUMMARY_LIMIT.saturating_sub(there)))
    }
}

/// Nobody who writes a value can know the delimiter, and so end it early to set another output.
fn delimiter() -> String {
    format!("windlass_{:032x}", rand::random::<u128>())
}

fn entry(name: &str, value: &str, delimiter: &str) -> String {
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

/// The first lines that fit, and a word that there are more.
fn cut(markdown: &str, limit: usize) -> String {
    if markdown.len() < limit {
        return markdown.to_owned();
    }
    // A fence is as long as what it quotes makes it, which is seldom more than a few characters.
    const FENCE: usize = 100;
    let mut room = limit.saturating_sub(CUT.len() + FENCE);
    let mut kept = String::new();
    let mut fence: Option<&str> = None;
    for line in markdown.split_inclusive('\n') {
        let Some(left) = room.checked_sub(line.len()) else { break };
        room = left;
        kept.push_str(line);
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        fence = match fence {
            Some(open) if line.trim_end() == open => None,
            None if (3..FENCE).contains(&ticks.len()) => Some(ticks),
            as_before => as_before,
        };
    }
    // What was opened must not swallow the last word.
    kept.push_str(fence.unwrap_or_default());
    if limit < CUT.len() { String::new() } else { kept + CUT }
}

fn append(path: &PathBuf, text: &str) -> Result<(), CommandError> {
    let written =
        File::options().append(true).create(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        CommandError::failed(format!("cannot write {}, which the runner reads", path.display())).caused_by(&error)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn action_yml_and_the_code_have_the_same_outputs() {
        #[derive(serde::Deserialize)]
        struct Action {
            outputs: BTreeMap<String, serde_json::Value>,
        }
        let action: Action = serde_saphyr::from_str(include_str!("../../action.yml")).unwrap();
        let all = [
            Output::Release,
            Output::Digest,
            Output::Image,
            Output::DeploymentId,
            Output::DeploymentUrl,
            Output::EnvironmentUrl,
            Output::Status,
            Output::Reason,
        ];
        let mut names = all.map(Output::name);
        names.sort_unstable();
        assert_eq!(names.to_vec(), action.outputs.keys().collect::<Vec<_>>());
    }

    #[test]
    fn rule_081_a_value_cannot_set_another_output() {
        let (one, other) = (delimiter(), delimiter());
        assert_ne!(one, other);
        let value = "first\nEOF\nstatus=succeeded\nstatus<<windlass_";
        assert_eq!(entry("reason", value, "windlass_7"), format!("reason<<windlass_7\n{value}\nwindlass_7\n"));
    }

    #[test]
    fn rule_082_a_summary_stays_below_the_runner_s_limit() {
        assert_eq!(cut("short\n", 100), "short\n");
        let long = "a line of the log\n".repeat(100_000);
        let summary = cut(&format!("# Title\n```text\n{long}```\n"), SUMMARY_LIMIT);
        assert!(summary.len() <= SUMMARY_LIMIT);
        assert!(summary.len() > SUMMARY_LIMIT - 1000);
        assert!(summary.starts_with("# Title\n"));
        assert!(summary.ends_with(&format!("\n```{CUT}")), "{}", &summary[summary.len() - 200..]);
        assert!(cut(&format!("````text\n```\n{long}"), SUMMARY_LIMIT).ends_with(&format!("\n````{CUT}")));
        assert!(cut(&"ä".repeat(2_000_000), SUMMARY_LIMIT).len() <= SUMMARY_LIMIT);
        assert_eq!(cut(&long, 10), "");
    }

    #[test]
    fn rule_082_what_earlier_summaries_of_the_step_took_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary");
        let outputs = Outputs { outputs: None, summary: Some(path.clone()) };
        outputs.summarize(&"a line\n".repeat(140_000)).unwrap();
        outputs.summarize(&"another line\n".repeat(140_000)).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        assert!((900_000..=1_048_576).contains(&length), "{length}");
    }
}
