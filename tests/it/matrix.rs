//! The crash matrix: every step of a plan, for every strategy, cut three times. The service is killed (`kill -9`) before
//! the step is on record and after its effect but before that is on record, or the step fails. Whatever is cut, the end is
//! wholly new or wholly old, a client that never stops asking sees at most one change and no failure, GitHub has its last
//! word, and nothing stray is left.

mod client;
mod faults;
mod hosts;
mod journal;
mod world;

use windlass_core::deployment::DeploymentState;
use windlass_core::plan::StepKind;

use client::Client;
use journal::Refused;
use world::{EngineKind, Matrix, Scene};

/// Where a deployment is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The service is killed and the step not on record.
    BeforeTheStep,
    /// The service is killed when the step is done and that not on record. Whoever comes back does it again.
    BeforeItsEnd,
    /// The step fails.
    Fails,
}

const CUTS: [Cut; 3] = [Cut::BeforeTheStep, Cut::BeforeItsEnd, Cut::Fails];

/// All cuts of one kind of plan, each on a release of its own. Says how many there were.
async fn all_cuts(scene: Scene) -> String {
    let mut matrix = Matrix::start(scene).await;
    matrix.deploy_undisturbed().await;
    // From here on there is something before the release, and each plan has the same steps.
    let steps = matrix.deploy_undisturbed().await;
    for (index, kind) in steps.iter().enumerate() {
        for cut in CUTS {
            matrix.cut(index, *kind, cut).await;
        }
    }
    format!("{scene}: {} cuts of {} steps", steps.len() * CUTS.len(), steps.len())
}

impl Matrix {
    async fn cut(&mut self, step: usize, kind: StepKind, cut: Cut) {
        let what = format!("{}: step {step}, {kind}, {cut:?}", self.scene);
        let clients: Vec<Client> = self.gateways().into_iter().map(Client::start).collect();
        let before = self.active;
        self.journal
            .refuse(&if cut == Cut::BeforeItsEnd { Refused::end_of(step) } else { Refused::start_of(step) })
            .await;
        let commit = self.ask_for_the_next_release(&what).await;
        self.until_refused(&what).await;
        if cut == Cut::Fails {
            self.make_fail(step, kind).await;
        }
        self.kill_service().await;
        self.journal.allow().await;
        self.start_service().await;
        if cut == Cut::Fails {
            self.until_failed(step, &what).await;
            self.stop_failing();
            if kind == StepKind::Retire {
                // It is tried again after a pause, or by the next service at once.
                self.kill_service().await;
                self.start_service().await;
            }
        }

        let ended = self.until_settled(&commit, &what).await;
        let succeeds = cut != Cut::Fails || kind == StepKind::Retire;
        let state = if succeeds { DeploymentState::Succeeded } else { DeploymentState::Failed };
        assert_eq!(ended.state, state, "{what}: {ended:?}\n{}", self.service_log());
        if succeeds {
            self.is_active().await;
        }
        self.assert_whole(&what).await;
        for client in clients {
            assert_one_at_a_time(&client.stop().await, before, self.asked, succeeds, &what);
        }
    }
}

/// The old release, and then the new one; or the old one throughout, but for the time until a failure took all back.
/// Stop-first alone lets requests be refused meanwhile.
fn assert_one_at_a_time(told: &[String], old: u64, new: u64, succeeds: bool, what: &str) {
    let refused = |answer: &&String| what.starts_with("stop-first") && *answer == "503";
    let mut told: Vec<&str> = told.iter().filter(|answer| !refused(answer)).map(String::as_str).collect();
    told.dedup();
    let (old, new) = (format!("release {old}"), format!("release {new}"));
    let allowed: &[&[&str]] = match succeeds {
        true => &[&[&old, &new]],
        false => &[&[&old], &[&old, &new, &old]],
    };
    assert!(allowed.contains(&told.as_slice()), "{what}: a client was told {told:?}");
}

macro_rules! scenes {
    ($($name:ident: $web:literal web and $worker:literal worker on $hosts:literal of $engine:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let scene = Scene { web: $web, worker: $worker, hosts: $hosts, engine: EngineKind::$engine };
            println!("{}", all_cuts(scene).await);
        }
    )*};
}

scenes! {
    every_cut_of_start_first_on_one_host: "start-first" web and "stop-first" worker on 1 of Fake;
    rule_096_every_cut_of_start_first_on_three_hosts: "start-first" web and "stop-first" worker on 3 of Fake;
    every_cut_of_stop_first_on_one_host: "stop-first" web and "start-first" worker on 1 of Fake;
    every_cut_of_stop_first_on_three_hosts: "stop-first" web and "safe" worker on 3 of Fake;
    every_cut_of_singleton_on_one_host: "singleton" web and "singleton" worker on 1 of Fake;
    every_cut_of_singleton_on_three_hosts: "singleton" web and "start-first" worker on 3 of Fake;
    every_cut_of_safe_on_one_host: "safe" web and "safe" worker on 1 of Fake;
    every_cut_of_safe_on_three_hosts: "safe" web and "singleton" worker on 3 of Fake;
    every_cut_of_start_first_on_docker: "start-first" web and "stop-first" worker on 1 of Docker;
    every_cut_of_singleton_on_docker: "singleton" web and "singleton" worker on 1 of Docker;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_096b_a_host_that_cannot_be_reached_for_the_way_back_is_shown_as_mixed_and_follows_when_it_returns() {
    let scene = Scene { web: "start-first", worker: "start-first", hosts: 2, engine: EngineKind::Fake };
    let (mut matrix, what) = (Matrix::start(scene).await, "mixed");
    let steps = matrix.deploy_undisturbed().await;
    let switch = steps.iter().position(|kind| *kind == StepKind::Switch).unwrap();

    // Host a switches and host b does not; before that is on record, a is lost.
    matrix.keep_from_switching(1);
    matrix.journal.refuse(&Refused::failure_of(switch)).await;
    let commit = matrix.ask_for_the_next_release(what).await;
    matrix.until_refused(what).await;
    matrix.kill_service().await;
    matrix.stop_failing();
    matrix.lose(0);
    matrix.journal.allow().await;
    matrix.start_service().await;
    let mixed = matrix.until_reason("mixed", what).await;
    assert_eq!(mixed.state, DeploymentState::Running, "it has said no last word: {mixed:?}");
    assert!(mixed.why.as_deref().is_some_and(|why| why.contains("host a")), "{mixed:?}");
    assert_eq!(matrix.told(&commit), "in_progress");
    let clients: Vec<Client> = matrix.gateways().into_iter().map(Client::start).collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.stop().await);
    }
    assert_eq!(answers, ["release 2", "release 1"], "that is what mixed means");

    matrix.stop_failing();
    let ended = matrix.until_settled(&commit, what).await;
    assert_eq!(ended.state, DeploymentState::Failed, "{ended:?}");
    assert_eq!(matrix.told(&commit), "failure");
    matrix.assert_whole(what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_keeps_no_other_from_going_back() {
    let scene = Scene { web: "safe", worker: "start-first", hosts: 2, engine: EngineKind::Fake };
    let (mut matrix, what) = (Matrix::start(scene).await, "away");
    let steps = matrix.deploy_undisturbed().await;
    let clients: Vec<Client> = matrix.gateways().into_iter().take(1).map(Client::start).collect();
    let exchange = steps.iter().position(|kind| *kind == StepKind::Boot).unwrap();
    matrix.journal.refuse(&Refused::start_of(exchange)).await;
    let commit = matrix.ask_for_the_next_release(what).await;
    matrix.until_refused(what).await;
    matrix.kill_service().await;
    matrix.lose(1);
    matrix.journal.allow().await;
    matrix.start_service().await;
    matrix.until_failed(exchange, what).await;
    // Host a is held at first, and then serves on: whoever asked it was never refused.
    for client in clients {
        assert_eq!(client.stop().await, ["release 1"]);
    }
    matrix.stop_failing();
    assert_eq!(matrix.until_settled(&commit, what).await.state, DeploymentState::Failed);
    matrix.assert_whole(what).await;
}
