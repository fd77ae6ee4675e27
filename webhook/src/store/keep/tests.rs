use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::Row;
use tempfile::TempDir;
use windlass_core::api::TaskMessage;
use windlass_core::deployment::{Event, Failure, FailureCode, Outcome};
use windlass_core::names::{DeploymentId, ReleaseNumber, TaskId};
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;

use crate::store::Store;
use crate::store::audit::{Action, Deed};
use crate::store::deployments::{Request, Source, StoredDeployment};
use crate::store::jobs::Requested;
use crate::store::journal::Effect;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Long after all that the tests do.
fn later() -> Timestamp {
    at(1_000_000)
}

fn stage() -> Stage {
    Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() }
}

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), at(0)).await.unwrap();
    (folder, store)
}

/// A deployment that was refused, with two lines of a log.
async fn refused(store: &Store, number: i64) -> StoredDeployment {
    let request = Request {
        id: DeploymentId::from_random(rand::random()),
        stage: stage(),
        kind: DeploymentKind::Deploy,
        source: Source::Person,
        requested_by: "ada".to_owned(),
        reason: None,
        override_gate: false,
        commit: format!("{number:040x}").parse().unwrap(),
        environment_url: None,
        releases: BTreeMap::from([("web".parse().unwrap(), ReleaseNumber(1))]),
    };
    store.saw_commit(&stage().project, &request.commit, true, at(number)).await.unwrap();
    let Requested::New(made) = store.ask_for_deployment(&request, None, at(number)).await.unwrap() else {
        panic!("people get their own");
    };
    let lines = [("web".to_owned(), "one".to_owned()), ("web".to_owned(), "two".to_owned())];
    store.append_log(&made.id, &lines, &HashMap::from([("web".to_owned(), 2)]), at(number)).await.unwrap();
    let failure = Some(Failure::new(FailureCode::GateBlocked, "red"));
    let event = Event::Ended { outcome: Outcome::Refused, failure };
    store.append(&made, &event, &Effect::None, at(number)).await.unwrap();
    made
}

async fn run(store: &Store, sql: &'static str) {
    let mut write = store.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *write).await.unwrap();
    store.commit(write).await.unwrap();
}

async fn run_for(store: &Store, sql: &'static str, deployment: &StoredDeployment) {
    let mut write = store.begin().await.unwrap();
    sqlx::query(sql).bind(deployment.id.as_str()).execute(&mut *write).await.unwrap();
    store.commit(write).await.unwrap();
}

async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&store.reader).await.unwrap().get("n")
}

async fn forget_all(store: &Store, before: Timestamp) {
    while store.forget_logs(before, 50).await.unwrap() > 0 {}
    while store.forget_deployments(before, 50).await.unwrap() > 0 {}
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&store.reader).await.unwrap();
    assert!(strays.is_empty());
}

#[tokio::test]
async fn deployments_that_ended_long_ago_go_with_all_that_is_theirs_but_for_the_last_of_a_stage() {
    let (_folder, store) = store().await;
    let mut made = Vec::new();
    for number in 0..110 {
        made.push(refused(&store, number).await);
    }
    run(&store, "UPDATE outbox SET sent_at = created_at").await;
    assert_eq!(store.forget_logs(at(5), 7).await.unwrap(), 7, "in small pieces");
    assert_eq!(store.forget_deployments(at(5), 3).await.unwrap(), 3);
    forget_all(&store, at(5)).await;
    assert_eq!(count(&store, "deployments").await, 105, "the others have not ended before that");
    assert_eq!(count(&store, "deployment_events WHERE kind = 'log'").await, 210);
    forget_all(&store, later()).await;
    let left = store.deployments(&stage(), None, 1000).await.unwrap();
    assert_eq!(left.len(), 100);
    assert_eq!(left.last().unwrap().id, made[10].id, "the oldest went");
    assert_eq!(count(&store, "deployment_events WHERE kind = 'log'").await, 0);
    for (table, rows) in [("deployment_events", 100), ("deployment_releases", 100), ("outbox", 200)] {
        assert_eq!(count(&store, table).await, rows, "{table}");
    }
    assert!(store.standing(&made[10].id).await.unwrap().state().is_final());
}

#[tokio::test]
async fn what_is_served_held_wanted_untold_or_a_way_back_stays_whatever_its_age() {
    let (_folder, store) = store().await;
    let mut old = Vec::new();
    for number in 0..10 {
        old.push(refused(&store, number).await);
    }
    for number in 10..120 {
        refused(&store, number).await;
    }
    run(&store, "UPDATE outbox SET sent_at = created_at").await;
    for (sql, of) in [
        (
            "INSERT INTO active_releases (project, stage, app, release_number, deployment, since)
             VALUES ('acme/shop', 'production', 'web', 1, ?, '')",
            &old[0],
        ),
        ("UPDATE active_releases SET previous_deployment = ?", &old[1]),
        ("INSERT INTO holds (project, stage, deployment, held_at) VALUES ('acme/shop', 'production', ?, '')", &old[2]),
        ("UPDATE outbox SET sent_at = NULL WHERE deployment = ?", &old[3]),
        (
            "INSERT INTO wanted_commits (project, stage, commit_sha, source, requested_by, wanted_at)
             SELECT project, stage, commit_sha, '\"push\"', '', '' FROM deployments WHERE id = ?",
            &old[4],
        ),
        // One of several commits, of which it is not the newest that is wanted.
        (
            "UPDATE deployment_releases SET commit_sha = (SELECT commit_sha FROM wanted_commits) WHERE deployment = ?",
            &old[5],
        ),
        // Its tasks are not retired yet, though a later one has made the same release active.
        ("UPDATE deployments SET state = 'succeeded', retired = 0 WHERE id = ?", &old[6]),
        ("UPDATE deployments SET state = 'succeeded', retired = 1 WHERE id = ?", &old[7]),
        ("UPDATE deployments SET state = 'running', ended_at = NULL WHERE id = ?", &old[8]),
    ] {
        run_for(&store, sql, of).await;
    }
    forget_all(&store, later()).await;
    for (place, stays) in old.iter().enumerate() {
        let there = store.deployment(&stays.id).await.unwrap().is_some();
        assert_eq!(there, place < 9, "the one at {place}");
    }
    assert_eq!(count(&store, "deployments").await, 109);
    // Of an app the last ten releases are kept, each with the last deployment that made it active, however often that was.
    run(&store, "UPDATE deployments SET state = 'succeeded', retired = 1 WHERE number > 20").await;
    let newer = "UPDATE deployment_releases SET release_number = 2
         WHERE deployment IN (SELECT id FROM deployments WHERE number > 20)";
    run(&store, newer).await;
    forget_all(&store, later()).await;
    assert!(store.deployment(&old[7].id).await.unwrap().is_some());
    let each = "UPDATE deployment_releases SET release_number = (SELECT number FROM deployments WHERE id = deployment)
         WHERE release_number = 2";
    run(&store, each).await;
    forget_all(&store, later()).await;
    assert!(store.deployment(&old[7].id).await.unwrap().is_none());
}

#[tokio::test]
async fn one_off_tasks_the_audit_and_commits_are_forgotten_in_their_time() {
    let (_folder, store) = store().await;
    for ended_at in [None, Some("2020-01-01T00:00:00.000000000Z")] {
        let id = TaskId::from_random(rand::random());
        let mut write = store.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO one_off_tasks (id, project, stage, app, release_number, spec, requested_by, created_at, ended_at)
             VALUES (?, 'acme/shop', 'production', 'web', 1, '', '', '', ?)",
        )
        .bind(id.as_str())
        .bind(ended_at)
        .execute(&mut *write)
        .await
        .unwrap();
        store.commit(write).await.unwrap();
        let message = || TaskMessage::Exit { code: 0 };
        store.append_task_log(&id, 1, &[message(), message(), message()]).await.unwrap();
    }
    assert_eq!(store.forget_tasks(later(), 10).await.unwrap(), 0, "its log goes first");
    assert_eq!(store.forget_task_logs(later(), 2).await.unwrap(), 2);
    assert_eq!(store.forget_task_logs(later(), 10).await.unwrap(), 1);
    assert_eq!(store.forget_tasks(later(), 10).await.unwrap(), 1);
    assert_eq!((count(&store, "one_off_tasks").await, count(&store, "task_log").await), (1, 3), "one runs");

    for second in [1, 2] {
        let deed = Deed { actor: "ada", action: Action::TakeLock, stage: None, detail: "", at: at(second) };
        store.record(&deed).await.unwrap();
    }
    assert_eq!(store.forget_audit(at(2), 10).await.unwrap(), 1);
    assert_eq!(count(&store, "audit").await, 1);

    let commit = |character: char| character.to_string().repeat(40).parse().unwrap();
    for (character, second) in [('a', 1), ('b', 2), ('c', 1)] {
        store.saw_commit(&stage().project, &commit(character), false, at(second)).await.unwrap();
    }
    store.saw_commit(&stage().project, &commit('c'), true, at(9)).await.unwrap();
    assert_eq!(store.forget_commits(at(2), 10).await.unwrap(), 1);
    assert!(store.commit_times(&stage().project, &commit('a')).await.unwrap().is_none());
    refused(&store, 3).await;
    assert_eq!(store.forget_commits(later(), 10).await.unwrap(), 2, "but none that was deployed");
}
