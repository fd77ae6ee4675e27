//! What `windlass status` shows to people.

use windlass_core::Timestamp;
use windlass_core::api::{AppView, CertificateView, DeploymentView, StageView, StepState};
use windlass_core::gateway::CertificateSource;
use windlass_core::labels::Kind;
use windlass_core::names::CommitSha;
use windlass_core::report;
use windlass_core::task::{TaskHealth, TaskStatus};
use windlass_core::verdict::Verdict;

use crate::error::CommandError;
use crate::output::{self, BOLD, DIM, GREEN, RED, Table, YELLOW, ago, theirs, until};

pub(super) fn show(
    stage: &StageView,
    verdict: Option<&Verdict>,
    not_run: Option<&DeploymentView>,
    now: Timestamp,
) -> Result<(), CommandError> {
    output::result(&format!("{BOLD}{} {}{BOLD:#}\n", stage.project, stage.stage))?;
    let mut table = Table::new(&["APP", "ACTIVE", "COMMIT", "WANTED", "LATEST", "TASKS", "URLS"]);
    for (name, app) in &stage.apps {
        table.row([
            name.to_string(),
            app.active.map(|number| number.to_string()).unwrap_or_default(),
            short(app.active_commit.as_ref()),
            short(app.wanted_commit.as_ref()),
            app.latest.map(|number| number.to_string()).unwrap_or_default(),
            format!("{}/{}", healthy(app), app.desired_tasks),
            app.urls.join(" "),
        ]);
    }
    if table.is_empty() {
        output::result("no release is registered yet: `windlass release create`")?;
    } else {
        output::result(&table.to_string())?;
    }
    if let Some(wanted) = &stage.wanted
        && let Some(missing) = &wanted.missing
    {
        let asked = format!("{BOLD}wanted:{BOLD:#} {} ({})", wanted.commit.short(), wanted.requested_by);
        output::result(&format!("\n{asked}\n  {YELLOW}{missing}{YELLOW:#}"))?;
    }
    if !stage.rollback.is_empty() {
        let active = stage.apps.iter().map(|(name, app)| (name.clone(), app.active)).collect();
        output::result(&format!("\n`windlass rollback`: {}", report::going_back(&active, &stage.rollback)))?;
    }
    if let Some(deployment) = &stage.deployment {
        show_deployment(deployment, now)?;
    }
    if let Some(deployment) = not_run {
        show_not_run(deployment, now)?;
    }
    if let Some(verdict) = verdict {
        show_verdict(verdict)?;
    }
    show_certificates(&stage.certificates, now)?;
    show_claims(stage, now)?;
    for warning in &stage.warnings {
        output::result(&format!("\n{YELLOW}warning:{YELLOW:#} {}", theirs(warning)))?;
    }
    Ok(())
}

fn short(commit: Option<&CommitSha>) -> String {
    commit.map(|commit| commit.short().to_owned()).unwrap_or_default()
}

/// Tasks of the active release that do their work, as far as is known.
fn healthy(app: &AppView) -> usize {
    app.tasks
        .iter()
        .filter(|task| task.kind == Kind::Service && Some(task.release) == app.active)
        .filter(|task| task.last_status == TaskStatus::Running && task.health != TaskHealth::Unhealthy)
        .count()
}

fn show_deployment(deployment: &DeploymentView, now: Timestamp) -> Result<(), CommandError> {
    let title = report::title(deployment.kind, &deployment.releases);
    let asked = format!("asked for by {}, {}", deployment.requested_by, ago(deployment.created_at, now));
    output::result(&format!("\n{BOLD}{title}: {}{BOLD:#} ({asked})", deployment.state))?;
    if let Some(gate_override) = &deployment.gate_override {
        output::result(&format!("  {YELLOW}{gate_override}{YELLOW:#}"))?;
    } else if let Some(reason) = &deployment.given_reason {
        output::result(&format!("  because: {}", theirs(reason)))?;
    }
    if let Some(commits) = report::commits(&deployment.commits) {
        output::result(&format!("  from {commits}"))?;
    }
    if let Some(why) = &deployment.why {
        output::result(&format!("  {YELLOW}{}{YELLOW:#}", theirs(why)))?;
    }
    for step in &deployment.steps {
        let (mark, style) = match step.state {
            StepState::Pending => ("·", DIM),
            StepState::Running => ("▸", BOLD),
            StepState::Done => ("✓", GREEN),
            StepState::Failed => ("✗", RED),
            StepState::Skipped => ("-", DIM),
        };
        let note = step.note.as_ref().map(|note| format!(" ({})", theirs(note))).unwrap_or_default();
        output::result(&format!("  {style}{mark}{style:#} {}: {}{note}", step.step, theirs(&step.title)))?;
    }
    output::result(&format!("  {}", deployment.url))
}

fn show_not_run(deployment: &DeploymentView, now: Timestamp) -> Result<(), CommandError> {
    let title = report::title(deployment.kind, &deployment.releases);
    let commits = report::commits(&deployment.commits).unwrap_or_else(|| deployment.commit.short().to_owned());
    let when = deployment.ended_at.map(|ended| format!(" ({commits} {})", ago(ended, now)));
    output::result(&format!("\n{BOLD}{title}: {}{BOLD:#}{}", deployment.state, when.unwrap_or_default()))?;
    if let Some(failure) = &deployment.failure {
        output::result(&format!("  {YELLOW}{}{YELLOW:#}", theirs(&failure.summary)))?;
    }
    output::result(&format!("  {}", deployment.url))
}

fn show_verdict(verdict: &Verdict) -> Result<(), CommandError> {
    output::result(&format!("\n{BOLD}gate{BOLD:#} {}", theirs(&verdict.summary())))?;
    let mut table = Table::new(&["", "CHECK", "WHY"]);
    for item in &verdict.items {
        table.row([item.state.to_string(), item.title(), item.why.clone()]);
    }
    if table.is_empty() { Ok(()) } else { output::result(&table.to_string()) }
}

/// What is shown to those who come by https, and what keeps it from being better.
fn show_certificates(certificates: &[CertificateView], now: Timestamp) -> Result<(), CommandError> {
    if certificates.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["HTTPS", "CERTIFICATE", "ENDS"]);
    for certificate in certificates {
        let source = match certificate.source {
            Some(CertificateSource::File) => "from a file",
            Some(CertificateSource::Service) => "from the authority",
            Some(CertificateSource::SelfSigned) => "signed by nobody",
            None => "",
        };
        let ends = certificate.ends.map(|ends| until(ends, now)).unwrap_or_default();
        table.row([certificate.name.clone(), source.to_owned(), ends]);
    }
    output::result(&format!("\n{table}"))?;
    for certificate in certificates {
        let Some(problem) = &certificate.problem else { continue };
        let next = certificate.next_try.map(|at| format!(" (tried again {})", until(at, now))).unwrap_or_default();
        output::result(&format!("{YELLOW}{}:{YELLOW:#} {}{next}", theirs(&certificate.name), theirs(problem)))?;
    }
    Ok(())
}

/// Who claims the stage, each with the way out.
fn show_claims(stage: &StageView, now: Timestamp) -> Result<(), CommandError> {
    if let Some(lease) = &stage.lease {
        let ends = until(lease.expires_at, now);
        output::result(&format!("\nlease: deployment {} works on it (ends {ends} unless renewed)", lease.deployment))?;
    }
    for (name, app) in &stage.apps {
        let Some(maintenance) = &app.maintenance else { continue };
        let message = maintenance.message.as_ref().map(|it| format!(": {}", theirs(it))).unwrap_or_default();
        output::result(&format!(
            "\n{YELLOW}maintenance:{YELLOW:#} {name} is kept from its clients by {} since {}{message}; \
             `windlass app maintenance off` lets them in",
            theirs(&maintenance.by),
            ago(maintenance.since, now),
        ))?;
    }
    if let Some(lock) = &stage.lock {
        output::result(&format!(
            "\nlock: {} since {}: {}; `windlass lock release` ends it",
            theirs(&lock.by),
            ago(lock.since, now),
            theirs(&lock.reason)
        ))?;
    }
    if let Some(hold) = &stage.hold {
        let since = ago(hold.since, now);
        output::result(&format!(
            "\nhold: since the rollback {} ({since}) merges do not deploy; `windlass hold lift` lets them again",
            hold.deployment
        ))?;
    }
    Ok(())
}
