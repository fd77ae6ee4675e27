use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use windlass_core::api::{LockView, MaintenanceView, NewRelease, Scope};
use windlass_core::deployment::{Event, Outcome};
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber, TaskId};
use windlass_core::plan::DeploymentKind;
use windlass_core::task::TaskSpec;

use super::*;
use crate::store::before;
use crate::store::cancel::Until;
use crate::store::deployments::{Request, Source, StoredDeployment};
use crate::store::journal::Effect;
use crate::store::locks::{Condition, Holder};
use crate::store::sessions::{Session, StoredSession};
use crate::store::tokens::TokenRequest;
use crate::store::whole::{texts, whole};

fn now() -> Timestamp {
    "2026-11-29T15:00:00Z".parse().unwrap()
}

fn stage(name: &str) -> Stage {
    Stage { project: "acme/shop".parse().unwrap(), name: name.parse().unwrap() }
}

fn ada() -> Holder {
    Holder { name: "ada".to_owned(), run: None }
}

fn request(kind: DeploymentKind, source: Source) -> Request {
    Request {
        id: DeploymentId::from_random([7; 16]),
        stage: stage("canary"),
        kind,
        source,
        requested_by: "ada".to_owned(),
        reason: Some("GitHub is down".to_owned()),
        commit: "a".repeat(40).parse().unwrap(),
        environment_url: None,
        releases: BTreeMap::from([(AppName::unnamed(), ReleaseNumber(1))]),
        override_gate: false,
    }
}

fn maintenance() -> MaintenanceView {
    MaintenanceView { by: "ada".to_owned(), since: now(), message: None }
}

fn session() -> Session {
    Session {
        stage: stage("canary"),
        reference: "refs/heads/main".to_owned(),
        commit: "a".repeat(40).parse().unwrap(),
        event: "push".to_owned(),
        run_id: 1,
        run_attempt: 1,
        check_run_id: Some(2),
        actor: "ada".to_owned(),
        workflow_ref: None,
        expires_at: now(),
    }
}

async fn deployment(store: &Store, id: &str) -> StoredDeployment {
    store.deployment(&id.parse().unwrap()).await.unwrap().unwrap()
}

/// A rollback of which all is done but its last word.
async fn rolled_back(store: &Store) -> StoredDeployment {
    let rollback = request(DeploymentKind::Rollback, Source::Person);
    store.ask_for_deployment(&rollback, None, now()).await.unwrap();
    let rollback = store.deployment(&rollback.id).await.unwrap().unwrap();
    let planned = Event::Planned { steps: 1, switch: 0, retire: 1 };
    for event in [planned, Event::StepStarted { step: 0 }, Event::StepFinished { step: 0, note: None }] {
        store.append(&rollback, &event, &Effect::None, now()).await.unwrap();
    }
    rollback
}

/// What has to be there before it can be done.
async fn prepare(store: &Store, action: Action) {
    if action == Action::SetHold {
        rolled_back(store).await;
    }
    if action == Action::EndMaintenance {
        store.begin_maintenance(&stage("canary"), &AppName::unnamed(), &maintenance()).await.unwrap();
    }
}

/// Does it, as whoever serves the request or the runner does.
async fn act(store: &Store, action: Action) -> Result<(), StoreError> {
    match action {
        Action::CancelDeployment => {
            let waiting = deployment(store, "dpa4zemf4ewjh92r").await;
            store.cancel(&waiting, "ada", Until::Success, now()).await.map(drop)
        }
        Action::CreateDeployment => {
            store.ask_for_deployment(&request(DeploymentKind::Redeploy, Source::Person), None, now()).await.map(drop)
        }
        Action::JoinDeployment => {
            let running = deployment(store, "b00t1ngb00t1ngb0").await;
            let same = Request {
                stage: running.stage,
                commit: running.commit,
                ..request(DeploymentKind::Deploy, Source::Job)
            };
            let job = StoredSession { id: 1, session: session() };
            store.ask_for_deployment(&same, Some(&job), now()).await.map(drop)
        }
        Action::OverrideGate => {
            let past_the_gate = Request { override_gate: true, ..request(DeploymentKind::Deploy, Source::Person) };
            store.ask_for_deployment(&past_the_gate, None, now()).await.map(drop)
        }
        Action::LiftHold => store.lift_hold(&stage("production"), "ada", now()).await.map(drop),
        Action::SetHold => {
            let rollback = store.deployment(&DeploymentId::from_random([7; 16])).await?.unwrap();
            let succeeded = Event::Ended { outcome: Outcome::Succeeded, failure: None };
            store.append(&rollback, &succeeded, &Effect::None, now()).await.map(drop)
        }
        Action::SignIn => store.sign_in("another jti", "wns_token", &session(), now()).await.map(drop),
        Action::ReleaseLock => {
            store.release_lock(&stage("production"), &Condition::None, &ada(), now()).await.map(drop)
        }
        Action::TakeLock => {
            let lock = LockView { by: "ada".to_owned(), reason: "a freeze".to_owned(), since: now() };
            store.take_lock(&stage("canary"), &Condition::Free, &lock, &ada()).await.map(drop)
        }
        Action::BeginMaintenance => {
            store.begin_maintenance(&stage("canary"), &AppName::unnamed(), &maintenance()).await
        }
        Action::EndMaintenance => {
            store.end_maintenance(&stage("canary"), &AppName::unnamed(), "ada", now()).await.map(drop)
        }
        Action::CreateRelease => {
            let new = NewRelease {
                commit: "b".repeat(40).parse().unwrap(),
                digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
                image: None,
                config: "schema = 1".to_owned(),
                pages: BTreeMap::new(),
                rebuild: false,
                uncommitted: false,
            };
            store.register_release(&stage("canary"), &AppName::unnamed(), &new, "ada", None, now()).await.map(drop)
        }
        Action::RunTask => {
            let spec: TaskSpec = store.open_tasks().await?.remove(0).spec;
            store.create_task(&TaskId::from_random([8; 16]), &stage("canary"), &spec, &ada(), now()).await
        }
        Action::StopStale | Action::StopTask => {
            let stage = stage("canary");
            let deed = Deed { actor: "ada", action, stage: Some(&stage), detail: "a container", at: now() };
            store.record(&deed).await.map(drop)
        }
        Action::CreateToken => {
            let request = TokenRequest { name: "ci".to_owned(), scopes: vec![Scope::Read], project: None, stage: None };
            store.create_token("wnt_token", &request, now()).await.map(drop)
        }
        Action::RevokeToken => store.revoke_token(1, now()).await.map(drop),
    }
}

/// What is written for it beside the record. `None`: it is done on a host, by who shows the record.
const fn written(action: Action) -> Option<&'static str> {
    match action {
        Action::CancelDeployment => Some("INSERT ON deployment_events"),
        Action::CreateDeployment | Action::OverrideGate => Some("INSERT ON deployments"),
        Action::JoinDeployment => Some("INSERT ON deployment_jobs"),
        Action::LiftHold => Some("DELETE ON holds"),
        Action::SetHold => Some("INSERT ON holds"),
        Action::SignIn => Some("INSERT ON sessions"),
        Action::ReleaseLock => Some("DELETE ON locks"),
        Action::TakeLock => Some("INSERT ON locks"),
        Action::BeginMaintenance => Some("INSERT ON maintenance"),
        Action::EndMaintenance => Some("UPDATE ON maintenance"),
        Action::CreateRelease => Some("INSERT ON releases"),
        Action::RunTask => Some("INSERT ON one_off_tasks"),
        Action::StopStale | Action::StopTask => None,
        Action::CreateToken => Some("INSERT ON tokens"),
        Action::RevokeToken => Some("UPDATE ON tokens"),
    }
}

/// Whichever of a deed's writes fails, nothing of it is there; and once none does, all of it is.
#[tokio::test]
async fn a_deed_and_its_record_are_written_together_or_not_at_all() {
    for action in Action::VARIANTS.iter().copied() {
        let folder = tempfile::tempdir().unwrap();
        before::make(folder.path()).await;
        let store = Store::open(folder.path(), now()).await.unwrap();
        prepare(&store, action).await;
        let before = whole(&store.reader).await;
        for refused in ["INSERT ON audit"].into_iter().chain(written(action)) {
            let trigger = format!("CREATE TRIGGER refused BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'no room'); END");
            sqlx::query(AssertSqlSafe(trigger)).execute(&store.writer).await.unwrap();
            let refusal = act(&store, action).await;
            let error = refusal.expect_err(&format!("{action:?} without {refused}"));
            assert!(matches!(error, StoreError::Database(_)), "{action:?}: {error:?}");
            sqlx::query("DROP TRIGGER refused").execute(&store.writer).await.unwrap();
            assert_eq!(whole(&store.reader).await, before, "{action:?} without {refused}");
        }
        act(&store, action).await.unwrap();
        let after = whole(&store.reader).await;
        let last = texts(&store.reader, "SELECT action FROM audit ORDER BY id DESC LIMIT 1").await;
        assert_eq!(last, [<&str>::from(action)]);
        assert_eq!(after["audit"].len(), before["audit"].len() + 1, "{action:?}");
        if let Some((_, table)) = written(action).and_then(|written| written.split_once(" ON ")) {
            assert_ne!(after[table], before[table], "{action:?}");
        }
    }
}

#[tokio::test]
async fn only_a_rollback_that_succeeds_leaves_a_hold_and_it_is_on_record_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    before::make(folder.path()).await;
    let store = Store::open(folder.path(), now()).await.unwrap();
    let rollback = rolled_back(&store).await;
    let succeeded = Event::Ended { outcome: Outcome::Succeeded, failure: None };
    let merged = deployment(&store, "watch1ngwatch1ng").await;
    for event in [&Event::StepFinished { step: 4, note: None }, &succeeded] {
        store.append(&merged, event, &Effect::None, now()).await.unwrap();
    }
    assert_eq!(store.hold(&merged.stage).await.unwrap(), None);
    assert_eq!(store.hold(&rollback.stage).await.unwrap(), None);
    store.append(&rollback, &succeeded, &Effect::None, now()).await.unwrap();
    assert_eq!(store.hold(&rollback.stage).await.unwrap().unwrap().deployment, rollback.id);
    let who = "SELECT actor || ': ' || detail FROM audit WHERE action = 'hold.set'";
    assert_eq!(texts(&store.reader, who).await, [format!("ada: {}", rollback.id)]);
}
