//! A deployment: one attempt to make releases active on a stage, as a journal of events. Where it stands is derived
//! from them by [`Deployment::apply`] and by nothing else.

mod failure;
mod state;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use failure::{Failure, FailureCode};
pub use state::{DeploymentState, Outcome};

use crate::names::DeploymentId;
use crate::verdict::Item;

/// The version of [`Event`] that is written today. Events of an older one stay readable.
pub const EVENT_VERSION: u32 = 1;

/// What happened. Appended, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It cannot start yet. Written when what it waits for changes.
    Waiting {
        on: Wait,
        /// In one sentence.
        why: String,
        /// The items of the verdict that hold it.
        #[serde(default)]
        items: Vec<Item>,
    },
    /// Its plan is stored; it runs from here on.
    Planned {
        /// How many steps the plan has.
        steps: usize,
        /// Where the switch stands among them.
        switch: usize,
        /// Where the retiring stands, which runs after success was said.
        retire: usize,
    },
    /// A step begins. After a crash the same one begins again.
    StepStarted {
        /// Its place in the plan.
        step: usize,
    },
    /// A step is done.
    StepFinished {
        /// Its place in the plan.
        step: usize,
        /// What came of it, where there is something to say.
        note: Option<String>,
    },
    /// A step has failed.
    StepFailed {
        /// Its place in the plan.
        step: usize,
        failure: Failure,
    },
    /// Somebody asked for its end.
    CancelRequested {
        by: String,
        /// Whether also after the switch, as long as its watch goes on: then the old release gets the traffic back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        back: bool,
    },
    /// What was done is being undone.
    RevertStarted { failure: Failure },
    /// It cannot be undone now; it is tried until it can. Written when the reason changes.
    RevertBlocked {
        /// What is in the way.
        why: String,
    },
    Ended {
        outcome: Outcome,
        /// Why, unless it succeeded.
        failure: Option<Failure>,
    },
}

crate::spelled! {
    "snake_case",
    /// What a deployment waits for.
    pub enum Wait {
        /// CI has not said its last word, or GitHub cannot be asked.
        Gate,
        /// Another deployment of the stage runs.
        Queue,
        /// A person has locked the stage.
        Lock,
        /// A rollback holds the stage against automatic deployments.
        Hold,
        /// A host does not answer.
        Host,
    }
}

/// Where a deployment stands. Only [`Deployment::apply`] changes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    phase: Phase,
    shape: Shape,
    cancel: Option<String>,
}

/// What a plan's length says about which transitions are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shape {
    steps: usize,
    switch: usize,
    retire: usize,
}

/// Where in its life it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Nothing is planned.
    Waiting,
    /// Steps run.
    Running {
        /// The first that is not done.
        next: usize,
        /// Whether it has begun.
        begun: bool,
    },
    /// A step has failed; what was done is about to be undone.
    Failing {
        /// The step that failed.
        step: usize,
        failure: Failure,
    },
    /// What was done is being undone.
    Reverting {
        /// The first step that was not done when it turned round.
        reached: usize,
        failure: Failure,
        /// What is in the way back.
        blocked: Option<String>,
    },
    /// The last word is said.
    Ended {
        outcome: Outcome,
        /// Why, unless it succeeded.
        failure: Option<Failure>,
        /// Whether the old tasks are retired; always true unless it succeeded.
        retired: bool,
    },
}

/// An event that cannot follow what happened before it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("deployment {deployment} cannot take {event} while {phase}")]
pub struct IllegalTransition {
    deployment: DeploymentId,
    event: String,
    phase: String,
}

impl Default for Deployment {
    fn default() -> Self {
        Self { phase: Phase::Waiting, shape: Shape::default(), cancel: None }
    }
}

impl Deployment {
    /// Derives where it stands from all that happened, in order.
    ///
    /// # Errors
    ///
    /// At the first event that cannot follow the ones before it.
    pub fn replay<'a>(
        id: &DeploymentId,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, IllegalTransition> {
        events.into_iter().try_fold(Self::default(), |deployment, event| deployment.apply(id, event))
    }

    /// The one transition function.
    ///
    /// # Errors
    ///
    /// When the event cannot happen now.
    pub fn apply(mut self, id: &DeploymentId, event: &Event) -> Result<Self, IllegalTransition> {
        let Shape { steps, switch, retire } = self.shape;
        let phase = match (&self.phase, event) {
            (Phase::Waiting, Event::Waiting { .. }) => Phase::Waiting,
            (Phase::Waiting, Event::Planned { steps, switch, retire }) => {
                self.shape = Shape { steps: *steps, switch: *switch, retire: *retire };
                Phase::Running { next: 0, begun: false }
            }
            (Phase::Waiting, Event::Ended { outcome, failure }) if *outcome != Outcome::Succeeded => {
                ended(*outcome, failure.clone())
            }
            // A cancellation that came in time is heeded: the switch does not begin after it.
            (Phase::Running { next, .. }, Event::StepStarted { step })
                if step == next && *step < steps && !(*step == switch && self.cancel.is_some()) =>
            {
                Phase::Running { next: *next, begun: true }
            }
            (Phase::Running { next, begun: true }, Event::StepFinished { step, .. }) if step == next => {
                Phase::Running { next: next + 1, begun: false }
            }
            (Phase::Running { next, begun: true }, Event::StepFailed { step, failure })
                if step == next && *step < retire =>
            {
                Phase::Failing { step: *step, failure: failure.clone() }
            }
            // A cancellation in the last moment of the watch is heeded, too: no success is said after it.
            (Phase::Running { next, .. }, Event::RevertStarted { failure })
                if *next < retire || self.cancel.is_some() =>
            {
                Phase::Reverting { reached: *next, failure: failure.clone(), blocked: None }
            }
            (Phase::Failing { step, .. }, Event::RevertStarted { failure }) => {
                Phase::Reverting { reached: *step, failure: failure.clone(), blocked: None }
            }
            (Phase::Reverting { reached, failure, .. }, Event::RevertBlocked { why }) => {
                Phase::Reverting { reached: *reached, failure: failure.clone(), blocked: Some(why.clone()) }
            }
            (
                Phase::Reverting { .. },
                Event::Ended { outcome: outcome @ (Outcome::Failed | Outcome::Cancelled), failure },
            ) => ended(*outcome, failure.clone()),
            (Phase::Running { next, begun: false }, Event::Ended { outcome: Outcome::Succeeded, failure: None })
                if *next == retire && self.cancel.is_none() =>
            {
                Phase::Ended { outcome: Outcome::Succeeded, failure: None, retired: retire == steps }
            }
            (
                Phase::Ended { outcome: Outcome::Succeeded, retired: false, .. },
                Event::StepStarted { step } | Event::StepFailed { step, .. },
            ) if *step == retire => self.phase.clone(),
            (Phase::Ended { outcome: Outcome::Succeeded, retired: false, .. }, Event::StepFinished { step, .. })
                if *step == retire =>
            {
                Phase::Ended { outcome: Outcome::Succeeded, failure: None, retired: true }
            }
            (_, Event::CancelRequested { by, back }) => {
                if self.may_be_cancelled(*back) {
                    self.cancel = Some(by.clone());
                }
                self.phase.clone()
            }
            (
                _,
                Event::Waiting { .. }
                | Event::Planned { .. }
                | Event::StepStarted { .. }
                | Event::StepFinished { .. }
                | Event::StepFailed { .. }
                | Event::RevertStarted { .. }
                | Event::RevertBlocked { .. }
                | Event::Ended { .. },
            ) => {
                return Err(IllegalTransition {
                    deployment: id.clone(),
                    event: format!("{event:?}"),
                    phase: format!("{:?}", self.phase),
                });
            }
        };
        Ok(Self { phase, ..self })
    }

    /// Where in its life it is.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The word for it.
    #[must_use]
    pub fn state(&self) -> DeploymentState {
        match &self.phase {
            Phase::Waiting => DeploymentState::Waiting,
            Phase::Running { .. } | Phase::Failing { .. } | Phase::Reverting { .. } => DeploymentState::Running,
            Phase::Ended { outcome, .. } => (*outcome).into(),
        }
    }

    /// Why it failed or is failing.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match &self.phase {
            Phase::Waiting | Phase::Running { .. } => None,
            Phase::Failing { failure, .. } | Phase::Reverting { failure, .. } => Some(failure),
            Phase::Ended { failure, .. } => failure.as_ref(),
        }
    }

    /// What keeps hosts from serving the old release again, all of them. Until then they may serve different ones: the stage
    /// is mixed.
    #[must_use]
    pub fn mixed(&self) -> Option<&str> {
        match &self.phase {
            Phase::Reverting { blocked, .. } if self.has_begun_switch() => blocked.as_deref(),
            _ => None,
        }
    }

    /// Who asked for its end, if that came in time: before the switch, or before the end of its watch where the way back
    /// was asked for. Later it changes nothing.
    #[must_use]
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancel.as_deref()
    }

    /// Whether the switch has begun. It is recorded before the first gateway is told, so from here on gateways may
    /// already have the new targets.
    #[must_use]
    pub const fn has_begun_switch(&self) -> bool {
        let switch = self.shape.switch;
        match self.phase {
            Phase::Waiting => false,
            Phase::Running { next, begun } => next > switch || (next == switch && begun),
            Phase::Failing { step, .. } => step >= switch,
            // Where it turned round between two steps, the one that comes next had not begun, but to undo a switch
            // that never was harms nothing.
            Phase::Reverting { reached, .. } => reached >= switch,
            Phase::Ended { outcome, .. } => matches!(outcome, Outcome::Succeeded),
        }
    }

    /// Whether somebody who asks for its end now is in time. `back`: also after the switch.
    #[must_use]
    pub const fn may_be_cancelled(&self, back: bool) -> bool {
        match self.phase {
            Phase::Waiting => true,
            Phase::Running { next, .. } => !self.has_begun_switch() || back && next < self.shape.retire,
            Phase::Failing { .. } | Phase::Reverting { .. } | Phase::Ended { .. } => false,
        }
    }
}

const fn ended(outcome: Outcome, failure: Option<Failure>) -> Phase {
    Phase::Ended { outcome, failure, retired: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(events: &[Event]) -> Result<Deployment, IllegalTransition> {
        Deployment::replay(&DeploymentId::from_random([0; 16]), events)
    }

    fn planned() -> Event {
        Event::Planned { steps: 3, switch: 1, retire: 2 }
    }

    fn step(step: usize) -> [Event; 2] {
        [Event::StepStarted { step }, Event::StepFinished { step, note: None }]
    }

    fn failure() -> Failure {
        Failure::new(FailureCode::Unhealthy, "no answer")
    }

    fn success() -> Event {
        Event::Ended { outcome: Outcome::Succeeded, failure: None }
    }

    fn all_of(parts: &[&[Event]]) -> Vec<Event> {
        parts.concat()
    }

    #[test]
    fn success_is_said_before_the_old_tasks_are_retired() {
        let until_success = all_of(&[&[planned()], &step(0), &step(1), &[success()]]);
        let deployment = replay(&until_success).unwrap();
        assert_eq!(deployment.state(), DeploymentState::Succeeded);
        assert!(matches!(deployment.phase(), Phase::Ended { retired: false, .. }));
        let deployment = replay(&all_of(&[&until_success, &step(2)])).unwrap();
        assert!(matches!(deployment.phase(), Phase::Ended { retired: true, .. }));
    }

    #[test]
    fn a_step_may_begin_again_after_a_crash_but_none_is_skipped() {
        let begun = all_of(&[&[planned()], &[Event::StepStarted { step: 0 }], &step(0)]);
        assert!(replay(&begun).is_ok());
        assert!(replay(&[planned(), Event::StepStarted { step: 1 }]).is_err());
        assert!(replay(&[planned(), Event::StepFinished { step: 0, note: None }]).is_err());
        assert!(replay(&[planned(), success()]).is_err());
    }

    #[test]
    fn there_is_one_last_word() {
        let ended = |outcome| Event::Ended { outcome, failure: None };
        let finished = all_of(&[&[planned()], &step(0), &step(1), &[success()]]);
        for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Cancelled, Outcome::Refused] {
            assert!(replay(&all_of(&[&finished, &[ended(outcome)]])).is_err());
            assert!(replay(&[ended(Outcome::Refused), ended(outcome)]).is_err());
        }
    }

    #[test]
    fn a_failure_after_the_switch_began_is_known_to_need_the_switch_undone() {
        let failed = |step| Event::StepFailed { step, failure: failure() };
        let before = replay(&[planned(), Event::StepStarted { step: 0 }, failed(0)]).unwrap();
        assert!(!before.has_begun_switch());
        let during = all_of(&[&[planned()], &step(0), &[Event::StepStarted { step: 1 }, failed(1)]]);
        assert!(replay(&during).unwrap().has_begun_switch());
        let reverting = replay(&all_of(&[&during, &[Event::RevertStarted { failure: failure() }]])).unwrap();
        assert!(reverting.has_begun_switch());
        assert_eq!(reverting.state(), DeploymentState::Running);
    }

    #[test]
    fn a_way_back_that_is_blocked_after_the_switch_began_is_mixed_until_its_end() {
        let blocked = Event::RevertBlocked { why: "host b does not answer".to_owned() };
        let turned = |steps: &[Event]| {
            let failed = all_of(&[&[planned()], steps, &[Event::RevertStarted { failure: failure() }]]);
            (replay(&failed).unwrap(), replay(&all_of(&[&failed, std::slice::from_ref(&blocked)])).unwrap(), failed)
        };
        let (_, before_the_switch, _) = turned(&[]);
        assert_eq!(before_the_switch.mixed(), None, "no gateway was told anything");
        let (free, mixed, events) = turned(&all_of(&[&step(0), &[Event::StepStarted { step: 1 }]]));
        assert_eq!((free.mixed(), mixed.mixed()), (None, Some("host b does not answer")));
        assert_eq!(mixed.state(), DeploymentState::Running, "it has said no last word");
        let ended = Event::Ended { outcome: Outcome::Failed, failure: Some(failure()) };
        assert_eq!(replay(&all_of(&[&events, &[blocked.clone(), ended]])).unwrap().mixed(), None);
        assert!(replay(&[blocked]).is_err());
    }

    fn cancel(back: bool) -> [Event; 1] {
        [Event::CancelRequested { by: "ada".to_owned(), back }]
    }

    #[test]
    fn a_cancellation_counts_until_the_switch_begins() {
        for cancel in [cancel(false), cancel(true)] {
            let early = replay(&all_of(&[&[planned()], &step(0), &cancel])).unwrap();
            assert_eq!(early.cancelled_by(), Some("ada"));
            let and_yet = all_of(&[&[planned()], &step(0), &cancel, &[Event::StepStarted { step: 1 }]]);
            assert!(replay(&and_yet).is_err(), "the switch does not begin after it");
        }
        let late =
            replay(&all_of(&[&[planned()], &step(0), &[Event::StepStarted { step: 1 }], &cancel(false)])).unwrap();
        assert_eq!(late.cancelled_by(), None);
    }

    #[test]
    fn one_that_asks_for_the_way_back_counts_until_the_watch_is_over_and_no_success_is_said_after_it() {
        let planned = Event::Planned { steps: 4, switch: 1, retire: 3 };
        let turned = [Event::RevertStarted { failure: Failure::new(FailureCode::Cancelled, "ada cancelled it") }];
        let switching = [planned.clone(), Event::StepStarted { step: 0 }, Event::StepFinished { step: 0, note: None }];
        let switching = all_of(&[&switching, &[Event::StepStarted { step: 1 }]]);
        let switched = all_of(&[&switching, &[Event::StepFinished { step: 1, note: None }]]);
        let watching = all_of(&[&switched, &[Event::StepStarted { step: 2 }]]);
        for (when, events) in [("the switch", &switching), ("its end", &switched), ("the watch", &watching)] {
            let cancelled = replay(&all_of(&[events, &cancel(true)])).unwrap();
            assert_eq!(cancelled.cancelled_by(), Some("ada"), "in {when}");
            let back = replay(&all_of(&[events, &cancel(true), &turned])).unwrap();
            assert!(back.has_begun_switch(), "the switch is undone in {when}");
        }
        // The watch had ended by itself in that very moment.
        let ended = all_of(&[&watching, &cancel(true), &[Event::StepFinished { step: 2, note: None }]]);
        assert!(replay(&all_of(&[&ended, &[success()]])).is_err());
        assert!(replay(&all_of(&[&ended, &turned])).is_ok());
        let too_late = all_of(&[&watching, &[Event::StepFinished { step: 2, note: None }], &cancel(true)]);
        assert_eq!(replay(&too_late).unwrap().cancelled_by(), None);
        assert!(replay(&all_of(&[&too_late, &[success()]])).is_ok());
        assert!(replay(&all_of(&[&too_late, &turned])).is_err());
    }
}
