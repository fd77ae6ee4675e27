//! The sentences that people read about a deployment: in statuses on GitHub, on its page, in logs and on the terminal.

use std::collections::BTreeMap;

use crate::deployment::{Event, Outcome, Wait};
use crate::names::{AppName, ReleaseNumber};
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
        Event::CancelRequested { by } => format!("{by} asked to cancel"),
        Event::RevertStarted { failure } => format!("putting everything back: {failure}"),
        Event::Ended { outcome, failure } => {
            let outcome = outcome_word(*outcome);
            failure.as_ref().map_or_else(|| outcome.to_owned(), |failure| format!("{outcome}: {failure}"))
        }
    }
}

const fn waiting_for(on: Wait) -> &'static str {
    match on {
        Wait::Gate => "for CI",
        Wait::Queue => "for its turn",
        Wait::Lock => "for a lock",
        Wait::Hold => "for a hold to be lifted",
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed, and what was there before is there again",
        Outcome::Refused => "refused",
        Outcome::Cancelled => "cancelled",
        Outcome::Superseded => "superseded",
    }
}
