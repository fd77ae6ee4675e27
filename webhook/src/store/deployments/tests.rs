use windlass_core::deployment::{Event, Failure, FailureCode, Outcome};
use windlass_core::names::ReleaseNumber;

use super::*;
use crate::store::journal::Effect;

/// More than any page has.
const MANY: u64 = 1_200;

fn request(source: Source, release: u64) -> Request {
    Request {
        id: DeploymentId::from_random(rand::random()),
        stage: Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() },
        kind: DeploymentKind::Deploy,
        source,
        requested_by: "octavia".to_owned(),
        reason: None,
        commit: "a".repeat(40).parse().unwrap(),
        environment_url: None,
        releases: [(AppName::unnamed(), ReleaseNumber(release))].into(),
        override_gate: false,
    }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
    (folder, store)
}

/// So many that jobs have asked for since, in one transaction.
async fn many_more(store: &Store) {
    let mut write = store.begin().await.unwrap();
    for number in 0..MANY {
        insert_deployment(&mut write, &request(Source::Job, number + 2), Timestamp::UNIX_EPOCH).await.unwrap();
    }
    store.commit(write).await.unwrap();
}

async fn first(store: &Store, source: Source) -> StoredDeployment {
    let mut write = store.begin().await.unwrap();
    let first = insert_deployment(&mut write, &request(source, 1), Timestamp::UNIX_EPOCH).await.unwrap();
    store.commit(write).await.unwrap();
    first
}

async fn append(store: &Store, deployment: &StoredDeployment, events: &[Event]) {
    for event in events {
        store.append(deployment, event, &Effect::None, Timestamp::UNIX_EPOCH).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_runs_is_found_however_many_were_asked_for_since() {
    let (_folder, store) = store().await;
    let running = first(&store, Source::Person).await;
    append(&store, &running, &[Event::Planned { steps: 1, switch: 0, retire: 1 }]).await;
    many_more(&store).await;
    for open in [store.open_deployments().await, store.open_deployments_of(&running.stage).await] {
        let open = open.unwrap();
        assert_eq!(open.len() as u64, MANY + 1);
        let last = open.last().unwrap();
        assert_eq!((&last.id, last.state), (&running.id, DeploymentState::Running));
        assert_eq!(last.releases, running.releases);
    }
    assert_eq!(store.stages_with_open_deployments().await.unwrap(), [running.stage]);
}

#[tokio::test]
async fn what_a_merge_asked_for_is_known_however_many_jobs_have_asked_for_its_commit_since() {
    let (_folder, store) = store().await;
    let merged = first(&store, Source::Merge).await;
    let failure = Failure::new(FailureCode::GateBlocked, "test failed");
    append(&store, &merged, &[Event::Ended { outcome: Outcome::Refused, failure: Some(failure) }]).await;
    many_more(&store).await;
    let found = store.automatic_deployment(&merged.stage, &merged.commit, &merged.releases).await.unwrap();
    assert_eq!(found.map(|it| it.id), Some(merged.id));
    let of_commit = store.deployments_of_commit(&merged.stage.project, &merged.commit).await.unwrap();
    assert_eq!(of_commit.len() as u64, MANY + 1, "its comment tells of all, or is written again and again");
}

#[tokio::test]
async fn what_is_to_be_retired_is_found_however_much_there_is() {
    let (_folder, store) = store().await;
    let old = first(&store, Source::Person).await;
    let switched = [
        Event::Planned { steps: 2, switch: 0, retire: 1 },
        Event::StepStarted { step: 0 },
        Event::StepFinished { step: 0, note: None },
        Event::Ended { outcome: Outcome::Succeeded, failure: None },
    ];
    append(&store, &old, &switched).await;
    many_more(&store).await;
    let mut write = store.begin().await.unwrap();
    sqlx::query("UPDATE deployments SET state = 'succeeded'").execute(&mut *write).await.unwrap();
    store.commit(write).await.unwrap();
    let unretired = store.unretired_deployments().await.unwrap();
    assert_eq!((unretired.len() as u64, &unretired.last().unwrap().id), (MANY + 1, &old.id));
}
