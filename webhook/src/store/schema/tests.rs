use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use windlass_core::api::TaskMessage;
use windlass_core::deployment::{Deployment, DeploymentState, Event, Failure, FailureCode, Outcome, Phase};
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;

use super::*;
use crate::store::deployments::{Source, StoredDeployment};
use crate::store::journal::Effect;
use crate::store::outbox::OnGitHub;
use crate::store::whole::{texts, whole};
use crate::store::{Store, before};

/// Tables that the version before did not have.
const NEW: [&str; 2] = ["maintenance", "release_pages"];

/// After all that the store tells of.
fn now() -> Timestamp {
    "2026-11-29T15:00:00Z".parse().unwrap()
}

fn stage(name: &str) -> Stage {
    Stage { project: "acme/shop".parse().unwrap(), name: name.parse().unwrap() }
}

async fn brought_forward() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    before::make(folder.path()).await;
    let store = Store::open(folder.path(), now()).await.unwrap();
    (folder, store)
}

async fn deployment(store: &Store, id: &str) -> StoredDeployment {
    store.deployment(&id.parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_the_version_before_wrote_is_all_there_and_only_spelled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = before::make(folder.path()).await;
    let empty: Vec<&String> = expected.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table).collect();
    assert!(empty.is_empty(), "nothing is known of what becomes of {empty:?}");
    // A word that was JSON had quotes of its own.
    for table in ["deployments", "wanted_commits"] {
        for row in expected.get_mut(table).unwrap() {
            assert!(row.contains("'\""), "{row}");
            *row = row.replace("'\"", "'").replace("\"'", "'");
        }
    }
    expected.extend(NEW.map(|table| (table.to_owned(), Vec::new())));
    let store = Store::open(folder.path(), now()).await.unwrap();
    let rows = whole(&store.reader).await;
    for (table, rows) in &rows {
        assert_eq!(Some(rows), expected.get(table), "{table}");
    }
    assert_eq!(rows.keys().collect::<BTreeSet<_>>(), expected.keys().collect());
    assert_eq!(texts(&store.reader, "PRAGMA integrity_check").await, ["ok"]);
    assert_eq!(texts(&store.reader, "PRAGMA foreign_key_check").await, [""; 0]);
    let copies = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(copies.into_iter().any(|name| name == "windlass.before-16.db"), "a copy is left of what it was");
}

#[tokio::test]
async fn deployments_of_the_version_before_are_read_as_they_were_asked_for() {
    let (_folder, store) = brought_forward().await;
    let mut read = BTreeMap::new();
    for stage in ["production", "staging", "preview", "qa", "canary"].map(stage) {
        for it in store.deployments(&stage, None, 100).await.unwrap() {
            let standing = store.standing(&it.id).await.unwrap();
            assert_eq!(standing.state(), it.state, "{}", it.id);
            assert_eq!(store.plan(&it.id).await.unwrap().is_some(), has_run(&standing), "{}", it.id);
            assert!(!store.messages(&it.id, 0, None).await.unwrap().is_empty() || it.state == DeploymentState::Waiting);
            read.insert(it.id.to_string(), (it.kind, it.source, it.state));
        }
    }
    use DeploymentKind::{Deploy, Redeploy, Rollback};
    use DeploymentState::{Cancelled, Failed, Refused, Running, Succeeded, Superseded, Waiting};
    use Source::{Job, Merge, Person, Push};
    let expected = [
        ("nrtetqm6w7wc9v4x", (Deploy, Merge, Succeeded)),
        ("44mcy41z7n2gjnzw", (Deploy, Merge, Succeeded)),
        ("cvmvk4etdhcw20nm", (Rollback, Person, Succeeded)),
        ("dpa4zemf4ewjh92r", (Deploy, Person, Waiting)),
        ("z735tr6pqaqx0etx", (Redeploy, Person, Waiting)),
        ("b00t1ngb00t1ngb0", (Deploy, Push, Running)),
        ("revert1ngrevert1", (Deploy, Job, Running)),
        ("watch1ngwatch1ng", (Deploy, Merge, Running)),
        ("ret1r1ngret1r1ng", (Redeploy, Person, Succeeded)),
        ("cance11ngcance11", (Deploy, Person, Waiting)),
        ("fa11edfa11edfa11", (Deploy, Merge, Failed)),
        ("refvsedrefvsedre", (Deploy, Job, Refused)),
        ("cance11edcance11", (Rollback, Person, Cancelled)),
        ("svpersededsvpers", (Deploy, Push, Superseded)),
    ];
    assert_eq!(read, expected.map(|(id, words)| (id.to_owned(), words)).into());

    let open: BTreeSet<String> = store.open_deployments().await.unwrap().iter().map(|it| it.id.to_string()).collect();
    let is_open = |(_, (_, _, state)): &(&str, (DeploymentKind, Source, DeploymentState))| !state.is_final();
    assert_eq!(open, expected.into_iter().filter(is_open).map(|(id, _)| id.to_owned()).collect());
    let unretired: Vec<String> =
        store.unretired_deployments().await.unwrap().iter().map(|it| it.id.to_string()).collect();
    assert_eq!(unretired, ["ret1r1ngret1r1ng"]);
    let overridden = deployment(&store, "ret1r1ngret1r1ng").await.gate_override.unwrap();
    assert_eq!((overridden.by.as_str(), overridden.reason.as_str()), ("ada", "GitHub is down"));
    let merged = deployment(&store, "watch1ngwatch1ng").await;
    let known = store.automatic_deployment(&merged.stage, &merged.commit, &merged.releases).await.unwrap();
    assert_eq!(known.unwrap().id, merged.id, "a merge is not deployed twice");
    for (name, source) in [("production", Merge), ("staging", Push), ("preview", Job), ("qa", Person)] {
        assert_eq!(store.wanted_commit(&stage(name)).await.unwrap().unwrap().source, source, "{name}");
    }
}

/// Whether it was given a plan.
fn has_run(standing: &Deployment) -> bool {
    match standing.phase() {
        Phase::Waiting => false,
        Phase::Ended { outcome, .. } => *outcome == Outcome::Succeeded,
        _ => true,
    }
}

#[tokio::test]
async fn an_open_deployment_of_the_version_before_is_carried_on_to_its_end() {
    let (_folder, store) = brought_forward().await;
    let done = |step| [Event::StepStarted { step }, Event::StepFinished { step, note: None }];
    let ended = |outcome, code: Option<FailureCode>| Event::Ended {
        outcome,
        failure: code.map(|code| Failure::new(code, "so it was")),
    };
    let succeeded = ended(Outcome::Succeeded, None);
    let finished = |step| Event::StepFinished { step, note: None };
    let from_the_gate =
        [vec![Event::Planned { steps: 1, switch: 0, retire: 1 }], done(0).to_vec(), vec![succeeded.clone()]].concat();
    let booting: Vec<Event> =
        [finished(1)].into_iter().chain((2..5).flat_map(done)).chain([succeeded.clone()]).chain(done(5)).collect();
    for (id, events, state) in [
        ("dpa4zemf4ewjh92r", from_the_gate.clone(), DeploymentState::Succeeded),
        ("z735tr6pqaqx0etx", from_the_gate, DeploymentState::Succeeded),
        ("b00t1ngb00t1ngb0", booting, DeploymentState::Succeeded),
        ("watch1ngwatch1ng", vec![finished(4), succeeded], DeploymentState::Succeeded),
        ("revert1ngrevert1", vec![ended(Outcome::Failed, Some(FailureCode::Unhealthy))], DeploymentState::Failed),
        (
            "cance11ngcance11",
            vec![ended(Outcome::Superseded, Some(FailureCode::Superseded))],
            DeploymentState::Superseded,
        ),
    ] {
        let open = deployment(&store, id).await;
        for event in events {
            store.append(&open, &event, &Effect::None, now()).await.unwrap();
        }
        let after = deployment(&store, id).await;
        assert_eq!((after.state, after.ended_at), (state, Some(now())), "{id}");
    }
    assert_eq!(store.open_deployments().await.unwrap().len(), 0);
    let retiring = deployment(&store, "ret1r1ngret1r1ng").await;
    store.append(&retiring, &finished(5), &Effect::None, now()).await.unwrap();
    let unretired: Vec<String> =
        store.unretired_deployments().await.unwrap().iter().map(|it| it.id.to_string()).collect();
    assert_eq!(unretired, ["watch1ngwatch1ng"]);
    let told = store.due_notices(&stage("qa").project, now()).await.unwrap();
    assert!(told.iter().any(|notice| notice.deployment.as_str() == "watch1ngwatch1ng"), "{told:?}");
}

#[tokio::test]
async fn claims_people_and_jobs_of_the_version_before_are_known() {
    let (_folder, store) = brought_forward().await;
    let id = |id: &str| id.parse::<DeploymentId>().unwrap();
    assert_eq!(store.installation().await.unwrap().to_string(), "232dbd24-b6cb-4e62-8314-21fe6492cd4a");
    let production = stage("production");
    assert_eq!(store.hold(&production).await.unwrap().unwrap().deployment, id("cvmvk4etdhcw20nm"));
    assert_eq!(store.lock(&production).await.unwrap().unwrap().lock.reason, "a freeze");
    assert_eq!(store.lease(&stage("staging")).await.unwrap().unwrap().deployment, id("b00t1ngb00t1ngb0"));
    let tokens = store.tokens().await.unwrap();
    assert_eq!(tokens.iter().map(|token| token.revoked_at.is_some()).collect::<Vec<_>>(), [false, true]);
    let preview = stage("preview");
    let commit = deployment(&store, "revert1ngrevert1").await.commit;
    let job = store.signed_in_for(&preview, &commit, now()).await.unwrap().unwrap();
    assert!(store.waits_for(&job, &id("revert1ngrevert1")).await.unwrap());
    let jobs = store.deploying_jobs(&preview, &commit).await.unwrap();
    assert_eq!((jobs.waiting.len(), jobs.registering.len(), jobs.runs.len()), (1, 1, 2));
    assert_eq!(store.host_claims().await.unwrap().len(), 2);
    assert_eq!(store.known_projects().await.unwrap().len(), 1);
    assert_eq!(store.current_names().await.unwrap().values().next().unwrap().as_str(), "acme/store");
}

#[tokio::test]
async fn releases_tasks_deliveries_and_notices_of_the_version_before_are_read() {
    let (_folder, store) = brought_forward().await;
    let (production, app) = (stage("production"), AppName::unnamed());
    let mut releases = store.releases(&production, &app, None, 10).await.unwrap();
    store.add_last_deployments(&production, &app, &mut releases).await.unwrap();
    let last = |number| releases.iter().find(|it| it.number == ReleaseNumber(number)).unwrap().last_deployment.as_ref();
    assert_eq!(last(1).map(|it| (it.kind, it.state)), Some((DeploymentKind::Redeploy, DeploymentState::Waiting)));
    assert_eq!(last(2).map(|it| (it.kind, it.state)), Some((DeploymentKind::Deploy, DeploymentState::Waiting)));
    assert!(releases[0].uncommitted && releases.iter().any(|it| it.active));
    assert_eq!(store.stage_settings(&production, &app).await.unwrap().version, 1);
    assert!(store.has_served(&production, &app, ReleaseNumber(2)).await.unwrap());
    assert!(store.is_migrated(&stage("qa"), &app, ReleaseNumber(1)).await.unwrap());
    assert_eq!(store.active_releases(&stage("qa")).await.unwrap().len(), 1);
    let needed: BTreeSet<String> =
        store.needed_releases().await.unwrap().iter().map(|it| format!("{} {}", it.stage.name, it.number)).collect();
    let expected = ["canary 1", "preview 1", "production 1", "production 2", "qa 1", "staging 1", "staging 2"];
    assert_eq!(needed, expected.map(str::to_owned).into());
    store.way_back(&production).await.unwrap();
    store.images().await.unwrap();

    let tasks = store.tasks(&production, 10).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.exit_code).collect::<BTreeSet<_>>(), [None, Some(0)].into());
    assert_eq!(store.open_tasks().await.unwrap().len(), 1);
    for task in tasks {
        let log = store.task_log(&task.id, 0).await.unwrap();
        assert_eq!(matches!(log.last(), Some((_, TaskMessage::Line(_)))), task.ended_at.is_none());
    }
    let due = store.due_deliveries(now(), 10).await.unwrap();
    assert_eq!(due.iter().map(|it| it.attempts).collect::<BTreeSet<_>>(), [0, 2].into());
    for (guid, stored) in
        [("33333333-cccc-4ccc-8ccc-333333333333", false), ("44444444-dddd-4ddd-8ddd-444444444444", true)]
    {
        assert_eq!(store.missed_delivery(guid).await.unwrap().stored, stored, "{guid}");
    }
    let notices = store.due_notices(&production.project, now()).await.unwrap();
    let notices = notices.iter().map(|it| (it.deployment.as_str(), &it.on_github)).collect::<BTreeMap<_, _>>();
    assert_eq!(notices["b00t1ngb00t1ngb0"], &OnGitHub::Made(4_442_074_400));
    assert_eq!(notices["ret1r1ngret1r1ng"], &OnGitHub::Nothing);
    let untold = store.untold(&"refvsedrefvsedre".parse().unwrap()).await.unwrap();
    assert_eq!(untold.as_deref(), Some("GitHub answered 422: No commit found"));
    assert!(store.comment(&production.project, 3).await.unwrap().ended);
    let commit = deployment(&store, "fa11edfa11edfa11").await.commit;
    assert!(store.commits_to_comment(&production.project).await.unwrap().contains(&commit));
    assert_eq!(store.merged_by(&production.project, &commit).await.unwrap().unwrap().pull_request, 1);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), now()).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, execution_time
        FROM _sqlx_migrations LIMIT 1";
    sqlx::query(newer).execute(&store.writer).await.unwrap();
    let before = whole(&store.reader).await;
    store.close().await;
    let refused = Store::open(folder.path(), now()).await.unwrap_err().to_string();
    assert_eq!(refused, format!("the store has schema 9999, and this version of Windlass knows {}", newest_known()));
    let store = Store::connect(&folder.path().join(data_folder::STORE)).await.unwrap();
    assert_eq!(whole(&store.reader).await, before);
}

#[test]
fn every_change_that_lies_in_the_folder_is_made_in_the_order_of_its_number() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.collect();
    let listed: BTreeSet<String> = CHANGES.iter().map(|(name, _)| format!("{name}.sql")).collect();
    assert_eq!(files, listed);
    let numbers: Vec<i64> = MIGRATIONS.iter().map(|change| change.version).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}
