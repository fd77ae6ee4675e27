use std::time::Duration;

use windlass_core::api::NewRelease;
use windlass_core::deployment::Event;
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_testing::github::{CheckState, Conclusion, Failure as GitHubFails};

use super::*;
use crate::gate::Decision;
use crate::store::deployments::{Request, Source};
use crate::store::jobs::Requested;
use crate::store::journal::Effect;
use crate::store::releases::Registration;
use crate::tell::outbox::Outbox;
use crate::told::{As, Teller};

const SHOP: &str = "acme/shop";
const CONFIG: &str = "schema = 1\nport = 3000\n";

/// A green commit on main, and its release.
async fn release(told: &Teller, title: &str) -> (Stage, CommitSha, ReleaseNumber) {
    let repository = told.repository(SHOP);
    let commit: CommitSha = repository.push("main", title).parse().unwrap();
    repository.add_check_run(commit.as_str(), "test", CheckState::Completed(Conclusion::Success));
    let stage = Stage { project: SHOP.parse().unwrap(), name: "production".parse().unwrap() };
    let new = NewRelease {
        commit: commit.clone(),
        digest: format!("sha256:{}", "1".repeat(64)).parse().unwrap(),
        image: None,
        config: CONFIG.to_owned(),
        pages: std::collections::BTreeMap::new(),
        rebuild: false,
        uncommitted: false,
    };
    let (app, now) = (AppName::unnamed(), told.service.clock.now());
    let registered = told.service.store.register_release(&stage, &app, &new, "ada", None, now).await.unwrap();
    let Registration::Created(release) = registered else { panic!("a new one") };
    (stage, commit, release.number)
}

async fn merged(told: &Teller, stage: &Stage, commit: &CommitSha, number: ReleaseNumber) -> StoredDeployment {
    let request = Request {
        id: DeploymentId::from_random(rand::random()),
        stage: stage.clone(),
        kind: DeploymentKind::Deploy,
        source: Source::Merge,
        requested_by: "octavia merged #1".to_owned(),
        reason: None,
        commit: commit.clone(),
        environment_url: None,
        releases: [(AppName::unnamed(), number)].into(),
        override_gate: false,
    };
    match told.service.store.ask_for_deployment(&request, None, told.service.clock.now()).await.unwrap() {
        Requested::New(deployment) | Requested::Known(deployment) => deployment,
    }
}

fn compared(told: &Teller) -> usize {
    told.fake.requests().iter().filter(|request| request.path.contains("/compare/")).count()
}

#[tokio::test]
async fn behind_the_time_out_a_green_commit_whose_order_github_does_not_tell_is_looked_at_after_growing_pauses() {
    let told = Teller::start_with(As::Token, &[SHOP], "gate-timeout = \"1s\"\nchecks = \"all\"").await;
    let (stage, commit, number) = release(&told, "first").await;
    let active = merged(&told, &stage, &commit, number).await;
    told.begin(&active).await;
    told.succeed(&active).await;
    let (stage, commit, number) = release(&told, "second").await;
    let waiting = merged(&told, &stage, &commit, number).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    told.fake.fail_next(axum::http::Method::GET, "*/compare/*", GitHubFails::status(502).times(1000));
    let mut pauses = Vec::new();
    for looks in 1..=5 {
        let decision = told.gate.decide(&waiting).await.unwrap();
        let Decision::Wait { why, .. } = decision else { panic!("{decision:?}") };
        assert!(why.starts_with("GitHub does not say how it stands to what is active"), "{why}");
        // The stage wakes up for whatever else happens.
        for _ in 0..20 {
            assert!(matches!(told.gate.decide(&waiting).await.unwrap(), Decision::Unchanged));
        }
        assert_eq!(compared(&told), looks);
        let look = told.gate.last_look(&waiting).unwrap();
        pauses.push(look.next.duration_since(look.at).as_secs());
        // What is heard of it is a reason to look at once.
        told.service.store.saw_commit(&stage.project, &commit, true, told.service.clock.now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 60]);
    told.fake.heal();
    told.service.store.saw_commit(&stage.project, &commit, true, told.service.clock.now()).await.unwrap();
    assert!(matches!(told.gate.decide(&waiting).await.unwrap(), Decision::Go));
}

#[tokio::test]
async fn rule_070_what_was_done_with_the_app_s_installation_is_the_reason_that_is_told() {
    let told = Teller::start_with(As::App, &[SHOP], "gate-timeout = \"1s\"").await;
    let outbox = Outbox::new(std::sync::Arc::clone(&told.service));
    let deployment = told.ask(SHOP, "production").await;
    told.look(&outbox).await;
    told.fake.suspend("acme");
    let suspended = "the App's installation on acme is suspended";
    let lifted = format!("{suspended}: an owner of acme lifts that, in its settings under GitHub Apps");
    let decision = told.gate.decide(&deployment).await.unwrap();
    let Decision::Wait { why, items, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(why, format!("unavailable: {lifted}"));
    assert_eq!(items[0].why, lifted);
    let verdict = told.gate.verdict_for_people(&deployment.stage, &deployment.commit).await.unwrap();
    assert!(verdict.items.iter().any(|item| item.why == lifted), "{verdict:?}");

    told.fake.unsuspend("acme");
    told.fake.uninstall("acme");
    told.gate.forget_look(&deployment);
    let decision = told.gate.decide(&deployment).await.unwrap();
    let Decision::Wait { why, .. } = decision else { panic!("{decision:?}") };
    assert!(why.starts_with("unavailable: the App is not installed on acme/shop: install it"), "{why}");

    told.fake.install("acme");
    told.fake.suspend("acme");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    told.gate.forget_look(&deployment);
    let decision = told.gate.decide(&deployment).await.unwrap();
    let Decision::End { outcome, failure } = decision else { panic!("{decision:?}") };
    assert!(failure.hint.as_deref().unwrap().contains("--override-gate"), "{failure:?}");
    told.append(&deployment, Event::Ended { outcome, failure: Some(failure) }, Effect::None).await;
    told.fake.unsuspend("acme");
    told.look_until(&outbox, || told.states(&deployment).last().is_some_and(|state| state == "error")).await;
    let last = told.record(&deployment).unwrap().statuses.pop().unwrap();
    let said = format!("Deploy release 1 cancelled: the gate did not open within 1s: {suspended}");
    assert!(last.description.starts_with(&said), "{last:?}");
}
