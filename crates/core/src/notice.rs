//! What GitHub is told of a deployment: which status follows from what happened to it. Nobody else decides that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::GateOverride;
use crate::deployment::{Event, Failure, FailureCode, Outcome, Wait};
use crate::names::{AppName, ReleaseNumber};
use crate::plan::{DeploymentKind, Plan};
use crate::report;

crate::spelled! {
    "snake_case",
    /// GitHub's words for how a deployment stands: the `state` of a deployment status.
    pub enum GitHubState {
        /// It waits.
        Queued,
        /// It runs.
        InProgress,
        /// It did what it should.
        Success,
        /// It did not.
        Failure,
        /// It was ended, by somebody or for lack of time.
        Error,
        /// It was followed by another, or superseded before it ran.
        Inactive,
    }
}

/// One thing to tell. The deployment itself is created on GitHub when its first status is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The deployment status' state.
    pub state: GitHubState,
    /// For people; cut to GitHub's length when it is sent.
    pub description: String,
    /// Where the app is reached; with success only.
    #[serde(default)]
    pub environment_url: Option<String>,
}

/// What is known of the deployment that is told of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub kind: DeploymentKind,
    /// What it makes active.
    pub releases: &'a BTreeMap<AppName, ReleaseNumber>,
    /// Where the app is reached once it is.
    pub environment_url: Option<&'a str>,
    /// Who had its gate not asked, and why: said with all that is said of it.
    pub gate_override: Option<&'a GateOverride>,
}

impl Subject<'_> {
    /// It was asked for.
    #[must_use]
    pub fn asked_for(&self) -> Notice {
        let waits = match self.gate_override {
            None => report::queued(self.kind, self.releases),
            Some(_) => report::queued_past_the_gate(self.kind, self.releases),
        };
        self.notice(GitHubState::Queued, waits)
    }

    /// It has a plan, and begins.
    #[must_use]
    pub fn begins(&self, plan: &Plan) -> Notice {
        self.notice(GitHubState::InProgress, report::in_progress(plan))
    }

    /// What follows from an event; `None`: nothing that GitHub is told.
    #[must_use]
    pub fn after(&self, event: &Event) -> Option<Notice> {
        match event {
            // CI is not what it waits for, as was said when it was asked for.
            Event::Waiting { on: Wait::Lock | Wait::Hold, why, .. } => {
                Some(self.notice(GitHubState::Queued, report::held(self.kind, self.releases, why)))
            }
            Event::Ended { outcome, failure } => Some(self.ended(*outcome, failure.as_ref())),
            Event::Waiting { .. }
            | Event::Planned { .. }
            | Event::StepStarted { .. }
            | Event::StepFinished { .. }
            | Event::StepFailed { .. }
            | Event::CancelRequested { .. }
            | Event::RevertStarted { .. }
            | Event::RevertBlocked { .. } => None,
        }
    }

    /// To the deployments that it took the place of.
    #[must_use]
    pub fn replaced(&self) -> Notice {
        Notice { state: GitHubState::Inactive, description: report::replaced(self.releases), environment_url: None }
    }

    fn ended(&self, outcome: Outcome, failure: Option<&Failure>) -> Notice {
        let timed_out = failure.is_some_and(|failure| failure.code == FailureCode::GateTimeout);
        let state = match outcome {
            Outcome::Succeeded => GitHubState::Success,
            Outcome::Refused if timed_out => GitHubState::Error,
            Outcome::Failed | Outcome::Refused => GitHubState::Failure,
            Outcome::Cancelled => GitHubState::Error,
            Outcome::Superseded => GitHubState::Inactive,
        };
        let notice = self.notice(state, report::ended(self.kind, self.releases, outcome, failure));
        let environment_url = self.environment_url.filter(|_| state == GitHubState::Success).map(str::to_owned);
        Notice { environment_url, ..notice }
    }

    fn notice(&self, state: GitHubState, said: String) -> Notice {
        let description = match self.gate_override {
            Some(gate_override) => format!("{said}; {gate_override}"),
            None => said,
        };
        Notice { state, description, environment_url: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://shop.example.com";

    fn said(event: &Event) -> Option<(GitHubState, String, Option<String>)> {
        let releases = [(AppName::unnamed(), ReleaseNumber(7))].into();
        let subject = Subject {
            kind: DeploymentKind::Deploy,
            releases: &releases,
            environment_url: Some(URL),
            gate_override: None,
        };
        subject.after(event).map(|notice| (notice.state, notice.description, notice.environment_url))
    }

    fn waiting(on: Wait) -> Event {
        Event::Waiting { on, why: "ada locked it".to_owned(), items: Vec::new() }
    }

    fn ended(outcome: Outcome, code: Option<FailureCode>) -> Event {
        Event::Ended { outcome, failure: code.map(|code| Failure::new(code, "so it was")) }
    }

    #[test]
    fn what_follows_from_each_event() {
        use FailureCode::{Cancelled, GateBlocked, GateTimeout, Superseded, TaskExited};
        use GitHubState::{Error, Failure as Failed, Inactive, Queued, Success};
        let failure = || Failure::new(TaskExited, "so it was");
        for (event, expected) in [
            (waiting(Wait::Lock), Some((Queued, "Deploy release 7: waiting: ada locked it", None))),
            (waiting(Wait::Hold), Some((Queued, "Deploy release 7: waiting: ada locked it", None))),
            (waiting(Wait::Gate), None),
            (waiting(Wait::Queue), None),
            (waiting(Wait::Host), None),
            (Event::Planned { steps: 3, switch: 1, retire: 2 }, None),
            (Event::StepStarted { step: 1 }, None),
            (Event::StepFinished { step: 1, note: None }, None),
            (Event::StepFailed { step: 1, failure: failure() }, None),
            (Event::CancelRequested { by: "ada".to_owned(), back: false }, None),
            (Event::RevertStarted { failure: failure() }, None),
            (Event::RevertBlocked { why: "the host is away".to_owned() }, None),
            (ended(Outcome::Succeeded, None), Some((Success, "Deploy release 7: done", Some(URL)))),
            (ended(Outcome::Failed, Some(TaskExited)), Some((Failed, "Deploy release 7 failed: so it was", None))),
            (ended(Outcome::Refused, Some(GateBlocked)), Some((Failed, "Deploy release 7 refused: so it was", None))),
            (ended(Outcome::Refused, Some(GateTimeout)), Some((Error, "Deploy release 7 refused: so it was", None))),
            (ended(Outcome::Cancelled, Some(Cancelled)), Some((Error, "Deploy release 7 cancelled: so it was", None))),
            (
                ended(Outcome::Superseded, Some(Superseded)),
                Some((Inactive, "Deploy release 7 superseded: so it was", None)),
            ),
        ] {
            let expected =
                expected.map(|(state, description, url)| (state, description.to_owned(), url.map(str::to_owned)));
            assert_eq!(said(&event), expected, "{event:?}");
        }
    }

    #[test]
    fn a_gate_that_was_not_asked_is_said_each_time_but_to_whom_it_replaced() {
        let releases = [(AppName::unnamed(), ReleaseNumber(7))].into();
        let gate_override = GateOverride { by: "ada".to_owned(), reason: "GitHub is down".to_owned() };
        let subject = Subject {
            kind: DeploymentKind::Deploy,
            releases: &releases,
            environment_url: None,
            gate_override: Some(&gate_override),
        };
        let told = [subject.asked_for(), subject.after(&ended(Outcome::Succeeded, None)).unwrap()];
        for notice in told {
            assert!(notice.description.ends_with(&format!("; {gate_override}")), "{}", notice.description);
        }
        assert_eq!(subject.replaced().description, "replaced by release 7");
    }
}
