//! The sentences that people read about a deployment: in statuses on GitHub, on its page, in logs and on the terminal.

use std::collections::BTreeMap;

use crate::deployment::{Event, Failure, Outcome, Wait};
use crate::names::{AppName, CommitSha, ReleaseNumber};
use crate::plan::{DeploymentKind, Plan};

/// `release 12`, or `api 12, web 7` where a deployment has several apps.
#[must_use]
pub fn releases(releases: &BTreeMap<AppName, ReleaseNumber>) -> String {
    if let [number] = releases.values().collect::<Vec<_>>()[..] {
        return format!("release {number}");
    }
    let each: Vec<String> = releases.iter().map(|(app, number)| format!("{app} {number}")).collect();
    each.join(", ")
}

/// `Deploy release 12`
#[must_use]
pub fn title(kind: DeploymentKind, numbers: &BTreeMap<AppName, ReleaseNumber>) -> String {
    let what = releases(numbers);
    match kind {
        DeploymentKind::Deploy => format!("Deploy {what}"),
        DeploymentKind::Rollback => format!("Roll back to {what}"),
        DeploymentKind::Redeploy => format!("Deploy {what} again"),
    }
}

/// `api a030e72, web 5b6c7d8` where the apps of a deployment were built from different commits; `None` where all were built
/// from one.
#[must_use]
pub fn commits(commits: &BTreeMap<AppName, CommitSha>) -> Option<String> {
    let first = commits.values().next()?;
    if commits.values().all(|commit| commit == first) {
        return None;
    }
    let each: Vec<String> = commits.iter().map(|(app, commit)| format!("{app} {}", commit.short())).collect();
    Some(each.join(", "))
}

/// Where a rollback leads, of a stage that serves these: `api: release 4 → release 3; web stays at release 7`.
#[must_use]
pub fn going_back(active: &BTreeMap<AppName, Option<ReleaseNumber>>, to: &BTreeMap<AppName, ReleaseNumber>) -> String {
    let named =
        |number: Option<&ReleaseNumber>| number.map_or_else(|| "nothing".to_owned(), |it| format!("release {it}"));
    let serves = |app: &AppName| active.get(app).and_then(Option::as_ref);
    let alone = active.len() <= 1 && to.len() <= 1;
    let of = |app: &AppName| if alone { String::new() } else { format!("{app}: ") };
    let moves = to.iter().map(|(app, number)| format!("{}{} → release {number}", of(app), named(serves(app))));
    let stay = active.iter().filter(|(app, number)| number.is_some() && !to.contains_key(*app));
    let stay = stay.map(|(app, number)| format!("{app} stays at {}", named(number.as_ref())));
    moves.chain(stay).collect::<Vec<_>>().join("; ")
}

/// What GitHub is told while it waits.
#[must_use]
pub fn queued(kind: DeploymentKind, numbers: &BTreeMap<AppName, ReleaseNumber>) -> String {
    format!("{}: waiting for its turn and for CI", title(kind, numbers))
}

/// The same of one whose gate is not asked.
#[must_use]
pub fn queued_past_the_gate(kind: DeploymentKind, numbers: &BTreeMap<AppName, ReleaseNumber>) -> String {
    format!("{}: waiting for its turn", title(kind, numbers))
}

/// What GitHub is told while somebody's lock or hold keeps it.
#[must_use]
pub fn held(kind: DeploymentKind, numbers: &BTreeMap<AppName, ReleaseNumber>, why: &str) -> String {
    format!("{}: waiting: {why}", title(kind, numbers))
}

/// What GitHub is told when it starts.
#[must_use]
pub fn in_progress(plan: &Plan) -> String {
    let numbers = plan.apps.iter().map(|(app, change)| (app.clone(), change.release)).collect();
    let mut steps: Vec<&str> = plan.steps.iter().map(|step| step.kind().as_str()).collect();
    steps.dedup();
    format!("{}: {}", title(plan.kind, &numbers), steps.join(", "))
}

/// What GitHub is told at the end.
#[must_use]
pub fn ended(
    kind: DeploymentKind,
    numbers: &BTreeMap<AppName, ReleaseNumber>,
    outcome: Outcome,
    failure: Option<&Failure>,
) -> String {
    match failure {
        Some(failure) => format!("{} {outcome}: {failure}", title(kind, numbers)),
        None if outcome == Outcome::Succeeded => format!("{}: done", title(kind, numbers)),
        None => format!("{} {outcome}", title(kind, numbers)),
    }
}

/// What a rollback does not undo; `None` where no newer release has run a migration.
#[must_use]
pub fn migrations_kept(kept: &BTreeMap<AppName, Vec<ReleaseNumber>>) -> Option<String> {
    let each: Vec<String> = match kept.values().collect::<Vec<_>>()[..] {
        [numbers] => numbers.iter().map(|number| format!("release {number}")).collect(),
        _ => {
            kept.iter().flat_map(|(app, numbers)| numbers.iter().map(move |number| format!("{app} {number}"))).collect()
        }
    };
    let which = each.join(", ");
    (!which.is_empty()).then(|| format!("a rollback undoes no migration, and newer releases have run theirs: {which}"))
}

/// What GitHub is told of the deployment that was there before.
#[must_use]
pub fn replaced(by: &BTreeMap<AppName, ReleaseNumber>) -> String {
    format!("replaced by {}", releases(by))
}

/// Why hosts serve different releases.
#[must_use]
pub fn mixed(why: &str) -> String {
    format!("hosts may serve different releases until the way back is free: {why}")
}

/// One line for an event. `plan` is the stored one, once there is one.
#[must_use]
pub fn event(event: &Event, plan: Option<&Plan>) -> String {
    let step = |index: usize| {
        plan.and_then(|plan| plan.steps.get(index))
            .map_or_else(|| format!("step {index}"), |step| format!("{}: {step}", step.kind()))
    };
    match event {
        Event::Waiting { on, why, .. } => format!("waiting {}: {why}", waiting_for(*on)),
        Event::Planned { steps, .. } => format!("planned {steps} steps"),
        Event::StepStarted { step: index } => step(*index),
        Event::StepFinished { step: index, note } => {
            let done = plan
                .and_then(|plan| plan.steps.get(*index))
                .map_or_else(|| format!("step {index}"), |step| step.kind().to_string());
            note.as_ref().map_or_else(|| format!("{done}: done"), |note| format!("{done}: done, {note}"))
        }
        Event::StepFailed { step: index, failure } => format!("{} failed: {failure}", step(*index)),
        Event::CancelRequested { by, back: false } => format!("{by} asked to cancel"),
        Event::CancelRequested { by, back: true } => {
            format!("{by} asked to cancel, back to what was there if the traffic has moved")
        }
        Event::RevertStarted { failure } => format!("putting everything back: {failure}"),
        Event::RevertBlocked { why } => format!("the way back is blocked, and tried again: {why}"),
        Event::Ended { outcome, failure } => {
            failure.as_ref().map_or_else(|| outcome.to_string(), |failure| format!("{outcome}: {failure}"))
        }
    }
}

const fn waiting_for(on: Wait) -> &'static str {
    match on {
        Wait::Gate => "for CI",
        Wait::Queue => "for its turn",
        Wait::Lock => "for a lock",
        Wait::Hold => "for a hold to be lifted",
        Wait::Host => "for a host",
    }
}
