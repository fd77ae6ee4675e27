//! The step's summary, in GitHub's Markdown. What others wrote is quoted or escaped: it is text, not markup.

use std::fmt::Write as _;

use windlass_core::Timestamp;
use windlass_core::api::{AppView, DeploymentView, Release, StageView, StepState, StepView};
use windlass_core::names::AppName;
use windlass_core::report;

use crate::error::CommandError;
use crate::output;

/// Why a step failed: the cause first, then what belongs to it.
pub(super) fn failed(error: &CommandError) -> String {
    let mut text = format!("### ❌ {}\n\n", escaped(&error.summary()));
    if let Some(hint) = error.advice() {
        let _ = write!(text, "**What to do:** {}\n\n", escaped(&hint));
    }
    for place in error.places() {
        let _ = writeln!(text, "- `{}:{}` {}", place.file.replace('`', ""), place.line, escaped(&place.message));
    }
    if !error.places().is_empty() {
        text.push('\n');
    } else if !error.lines().is_empty() {
        text.push_str(&quoted(&error.lines().join("\n")));
    }
    text
}

/// A release that was registered, or was there already.
pub(super) fn release(release: &Release, stage: &str, note: &str) -> String {
    let image = release.image.as_ref().map_or_else(|| "on the host's engine".to_owned(), |image| format!("`{image}`"));
    let app = if release.app == AppName::unnamed() { String::new() } else { format!(" of {}", release.app) };
    format!(
        "### Release {}{app} on {stage}\n\n{note}\n\n| | |\n|---|---|\n| commit | `{}` |\n| image | {image} |\n| digest | `{}` |\n\n",
        release.number, release.commit, release.digest
    )
}

/// A deployment: how it stands, its plan with the time of each step, its links.
pub(super) fn deployment(deployment: &DeploymentView) -> String {
    let title = report::title(deployment.kind, &deployment.releases);
    let mut text = format!(
        "### {title} on {} {}: {}\n\n",
        escaped(deployment.project.as_str()),
        deployment.stage,
        deployment.state
    );
    if let Some(why) = &deployment.why {
        let _ = write!(text, "{}\n\n", escaped(why));
    }
    if let Some(kept) = report::migrations_kept(&deployment.migrations_kept) {
        let _ = write!(text, "{}\n\n", escaped(&kept));
    }
    let links =
        [Some(("deployment", &deployment.url)), deployment.environment_url.as_ref().map(|url| ("environment", url))];
    let links: Vec<String> = links.into_iter().flatten().map(|(name, url)| format!("[{name}]({url})")).collect();
    let commits = match report::commits(&deployment.commits) {
        Some(several) => format!("commits `{several}`"),
        None => format!("commit `{}`", deployment.commit),
    };
    let _ = write!(text, "{} · {commits}\n\n", links.join(" · "));
    if !deployment.steps.is_empty() {
        text.push_str("| step | | took |\n|---|---|---|\n");
        for step in &deployment.steps {
            text.push_str(&row(step));
        }
        text.push('\n');
    }
    text
}

fn row(step: &StepView) -> String {
    let mark = match step.state {
        StepState::Pending => "·",
        StepState::Running => "▸",
        StepState::Done => "✓",
        StepState::Failed => "✗",
        StepState::Skipped => "–",
    };
    let note = step.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    let took = match (step.started_at, step.ended_at) {
        (Some(started), Some(ended)) => length(started, ended),
        _ => String::new(),
    };
    format!("| {mark} {} | {} | {took} |\n", step.step, escaped(&format!("{}{note}", step.title)))
}

fn length(started: Timestamp, ended: Timestamp) -> String {
    output::elapsed(std::time::Duration::try_from(ended.duration_since(started)).unwrap_or_default())
}

/// What a stage serves.
pub(super) fn stage(view: &StageView) -> String {
    let mut text = format!("### {} {}\n\n", escaped(view.project.as_str()), view.stage);
    for line in stage_lines(view) {
        let _ = writeln!(text, "- {}", escaped(&line));
    }
    text.push('\n');
    if let Some(under_way) = &view.deployment {
        text.push_str(&deployment(under_way));
    }
    text
}

/// The same for the log.
pub(super) fn stage_lines(view: &StageView) -> Vec<String> {
    let mut lines: Vec<String> = view.apps.iter().map(|(name, app)| app_line(name, app)).collect();
    if lines.is_empty() {
        lines.push("no release yet".to_owned());
    }
    if let Some(deployment) = &view.deployment {
        let title = report::title(deployment.kind, &deployment.releases);
        let why = deployment.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("{title} is {}{why} {}", deployment.state, deployment.url));
    }
    if let Some(wanted) = &view.wanted
        && let Some(missing) = &wanted.missing
    {
        lines.push(format!("wanted is {} ({}): {missing}", wanted.commit.short(), wanted.requested_by));
    }
    if let Some(lock) = &view.lock {
        lines.push(format!("locked by {}: {}", lock.by, lock.reason));
    }
    if let Some(hold) = &view.hold {
        lines.push(format!("held since rollback {}: merges do not deploy", hold.deployment));
    }
    lines.extend(view.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}

fn app_line(name: &AppName, app: &AppView) -> String {
    let serves = match (&app.active, &app.active_commit) {
        (Some(number), Some(commit)) => format!("release {number} ({})", commit.short()),
        (Some(number), None) => format!("release {number}"),
        (None, _) => "nothing yet".to_owned(),
    };
    format!("{name} serves {serves}")
}

/// As text: no markup, no table cell's end, no HTML, no mention of anybody.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => {}
            '\n' => out.push_str("<br>"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Lines as they are, within a fence that nothing in them can close.
fn quoted(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;

    #[test]
    fn the_cause_comes_first_and_the_app_s_lines_stay_lines() {
        let error = CommandError::failed("deploy release 3: failed")
            .because("web exited with 1")
            .details(["  boom | <script>".to_owned(), "  ``` @everybody".to_owned()])
            .hint("see `bin/serve`");
        assert_eq!(
            failed(&error),
            "### ❌ deploy release 3: failed: web exited with 1\n\n**What to do:** see \\`bin/serve\\`\n\n\
             ````text\n  boom | <script>\n  ``` @everybody\n````\n\n"
        );
    }

    #[test]
    fn a_mistake_in_a_file_is_shown_with_its_place() {
        let place = Place { file: "windlass.toml".to_owned(), line: 3, message: "port: not a number".to_owned() };
        let text = failed(&CommandError::misused("windlass.toml has a mistake").at([place]));
        assert_eq!(text, "### ❌ windlass.toml has a mistake\n\n- `windlass.toml:3` port: not a number\n\n");
    }
}
