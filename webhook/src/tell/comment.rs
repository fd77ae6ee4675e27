//! The text of the comment on a merged pull request. All that comes from an app's log or from an error is shown in a
//! fence that it cannot end: nothing of it becomes markup, mentions somebody or links somewhere.

use std::fmt::Write as _;

use url::Url;
use windlass_core::api::{DeploymentView, StepState, StepView};
use windlass_core::names::{CommitSha, InstallationId};
use windlass_core::plan::StepKind;
use windlass_core::report;

use crate::github::LONGEST_COMMENT;

/// How much of a failure is told, from the most to the least: log lines, and whether steps are listed.
const DETAILS: [(usize, Steps); 3] = [(50, Steps::Listed), (10, Steps::Listed), (0, Steps::LeftOut)];
/// Longer lines are cut.
const LONGEST_LINE: usize = 300;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    Listed,
    LeftOut,
}

/// What our comment begins with, invisibly: it is found again by it.
pub(crate) fn marker(installation: InstallationId) -> String {
    format!("<!-- windlass {installation} -->")
}

/// What became of a commit, one deployment a stage.
pub(crate) fn body(installation: InstallationId, commit: &CommitSha, deployments: &[DeploymentView]) -> String {
    let head = format!("{}\n{}", marker(installation), table_head(commit));
    let with = |lines, steps| {
        let rows: String = deployments.iter().map(row).collect();
        let more: String = deployments.iter().map(|it| below_the_table(it, lines, steps)).collect();
        format!("{head}{rows}{more}")
    };
    let fits = |body: &String| body.chars().count() <= LONGEST_COMMENT;
    if let Some(body) = DETAILS.into_iter().map(|(lines, steps)| with(lines, steps)).find(fits) {
        return body;
    }
    // So many stages that only a part of the table fits.
    deployments.iter().map(row).fold(head, |mut body, row| {
        if body.chars().count() + row.chars().count() <= LONGEST_COMMENT {
            body.push_str(&row);
        }
        body
    })
}

fn table_head(commit: &CommitSha) -> String {
    format!("Windlass and {}:\n\n| stage | state | what | time | |\n|---|---|---|---|---|\n", code(commit.short()))
}

fn row(it: &DeploymentView) -> String {
    let app = it.environment_url.as_deref().and_then(|url| link("app", url)).map(|app| format!(" · {app}"));
    format!(
        "| {} | {} | {}{} | {} | {}{} |\n",
        code(it.stage.as_str()),
        it.state,
        code(&report::title(it.kind, &it.releases)),
        more_of(it),
        total(it),
        link("steps and log", &it.url).unwrap_or_default(),
        app.unwrap_or_default()
    )
}

fn more_of(it: &DeploymentView) -> String {
    let commits = report::commits(&it.commits).map(|commits| format!(" from {}", code(&commits)));
    let gate = it.gate_override.as_ref().map(|it| format!(", {}", code(&it.to_string())));
    commits.into_iter().chain(gate).collect()
}

/// The time from the first step on: before it there was nothing but waiting.
fn total(it: &DeploymentView) -> String {
    let begun = it.steps.iter().filter(|step| step.step != StepKind::Gate).find_map(|step| step.started_at);
    begun.zip(it.ended_at).map_or_else(String::new, |(from, to)| seconds(from, to))
}

fn below_the_table(it: &DeploymentView, lines: usize, steps: Steps) -> String {
    let mut text = String::new();
    if steps == Steps::Listed {
        text.push_str(&steps_of(it));
    }
    text.push_str(&failure_of(it, lines));
    text
}

fn steps_of(it: &DeploymentView) -> String {
    let timed = |step: &StepView| Some((step.step, step.state, seconds(step.started_at?, step.ended_at?)));
    let rows = it.steps.iter().filter_map(timed).fold(String::new(), |mut rows, (step, state, time)| {
        let _ = writeln!(rows, "| {step} | {} | {time} |", word(state));
        rows
    });
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n<details><summary>Time per step on <code>{}</code></summary>\n\n| step | state | time |\n|---|---|---|\n{rows}\n\
         </details>\n",
        escape(it.stage.as_str())
    )
}

fn failure_of(it: &DeploymentView, lines: usize) -> String {
    let Some(failure) = &it.failure else { return String::new() };
    let failed = it.steps.iter().find(|step| step.state == StepState::Failed).map(|step| step.step);
    let at = failed.map_or_else(String::new, |step| format!(" at the step {}", code(step.as_str())));
    let mut said = vec![cut(&failure.summary)];
    said.extend(failure.hint.iter().map(|hint| cut(hint)));
    let last = failure.log.len().saturating_sub(lines);
    if lines > 0 && !failure.log.is_empty() {
        said.push(String::new());
        said.extend(failure.log[last..].iter().map(|line| cut(line)));
    }
    format!("\n{} {}{at}:\n\n{}", code(it.stage.as_str()), it.state, fence(&said.join("\n")))
}

/// As a block that its own content cannot end.
fn fence(text: &str) -> String {
    let ticks = "`".repeat(longest_run_of_ticks(text).max(2) + 1);
    format!("{ticks}text\n{text}\n{ticks}\n")
}

fn longest_run_of_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// One line of readable characters.
fn cut(text: &str) -> String {
    let readable = text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c });
    let line: String = readable.clone().take(LONGEST_LINE).collect();
    if readable.count() > LONGEST_LINE { format!("{line}…") } else { line }
}

/// As code within a line, and within a table.
fn code(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '`' | '|')).collect();
    format!("`{plain}`")
}

/// Within an element: what looks like one is none.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A link to an address of the web, and to nothing else.
fn link(text: &str, address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let inert =
        |url: &Url| url.as_str().replace('(', "%28").replace(')', "%29").replace('|', "%7C").replace('\\', "%5C");
    Some(format!("[{text}]({})", inert(&url)))
}

fn seconds(from: windlass_core::Timestamp, to: windlass_core::Timestamp) -> String {
    format!("{} s", windlass_core::quantity::tenths(from, to))
}

const fn word(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests;
