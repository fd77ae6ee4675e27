//! What somebody does and the record of it are one: where the record cannot be written, nothing was done.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use windlass_core::api::DeploymentView;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{PATIENCE, World, stage_path};

/// The service's store, opened beside it.
struct Audit(SqlitePool);

impl Audit {
    async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
        Self(SqlitePool::connect_with(options).await.unwrap())
    }

    /// From now on no entry is taken, as by a disk that is full.
    async fn refuse(&self) {
        let trigger = "CREATE TRIGGER refused BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END";
        sqlx::query(trigger).execute(&self.0).await.unwrap();
    }

    async fn allow(&self) {
        sqlx::query("DROP TRIGGER refused").execute(&self.0).await.unwrap();
    }

    /// What was done, in order.
    async fn actions(&self) -> Vec<String> {
        let rows = sqlx::query("SELECT action FROM audit WHERE actor = 'tester' ORDER BY id");
        rows.fetch_all(&self.0).await.unwrap().iter().map(|row| row.get("action")).collect()
    }

    /// All rows of the tables that people's requests change.
    async fn counts(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        for sql in [
            "SELECT COUNT(*) AS n FROM releases",
            "SELECT COUNT(*) AS n FROM deployments",
            "SELECT COUNT(*) AS n FROM deployments WHERE state = 'cancelled'",
            "SELECT COUNT(*) AS n FROM locks",
            "SELECT COUNT(*) AS n FROM holds",
            "SELECT COUNT(*) AS n FROM one_off_tasks",
        ] {
            counts.push(sqlx::query(sql).fetch_one(&self.0).await.unwrap().get("n"));
        }
        counts
    }
}

/// Until it says on what it waits.
async fn until_waiting(world: &World, id: &str) {
    let waits = async {
        while world.get::<DeploymentView>(&format!("/deployments/{id}")).await.why.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("it says on what it waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_was_not_done() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    for title in ["first", "second"] {
        let commit = world.merge(title);
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.register(&commit, &image, &world.config()).await;
        world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    }
    world.deploy("rollback", None).await;
    // Each has something to change: a hold, a lock, and a deployment that waits for the lock.
    let ask = |method: Method, path: &str| world.request(method, &format!("{}{path}", stage_path()));
    let lock = |reason: &str| ask(Method::PUT, "/lock").json(&json!({ "reason": reason }));
    lock("a freeze").send().await.unwrap().error_for_status().unwrap();
    let waiting: serde_json::Value =
        world.post(&format!("{}/deployments", stage_path()), &json!({ "releases": { "default": 2 } })).await;
    let cancel = world.request(Method::POST, &format!("/deployments/{}/cancel", waiting["id"].as_str().unwrap()));
    let commit = world.repository.push("main", "third");
    let release = json!({ "commit": commit, "digest": image, "config": world.config() });
    let requests: Vec<(&str, RequestBuilder)> = vec![
        ("release.create", ask(Method::POST, "/apps/default/releases").json(&release)),
        ("deployment.create", ask(Method::POST, "/deployments").json(&json!({ "kind": "redeploy" }))),
        ("deployment.cancel", cancel),
        ("task.run", ask(Method::POST, "/tasks").json(&json!({ "command": ["/sample-app", "--help"] }))),
        ("lock.take", lock("another one")),
        ("hold.lift", ask(Method::DELETE, "/hold")),
        ("lock.release", ask(Method::DELETE, "/lock")),
    ];
    let audit = Audit::open(&world.path("data/windlass.db")).await;
    // What waits says so within moments; then nothing moves by itself.
    until_waiting(&world, waiting["id"].as_str().unwrap()).await;
    let (before, done) = (audit.counts().await, audit.actions().await);

    audit.refuse().await;
    for (action, request) in &requests {
        let answer = request.try_clone().unwrap().send().await.unwrap();
        let (status, problem) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 503, "{action}: {problem}");
        assert!(
            problem.contains("store_unavailable") && problem.contains("nothing was changed"),
            "{action}: {problem}"
        );
    }
    assert_eq!(audit.counts().await, before);
    audit.allow().await;
    for (action, request) in &requests {
        let answer = request.try_clone().unwrap().send().await.unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.text().await.unwrap());
    }
    let actions: Vec<&str> = requests.iter().map(|(action, _)| *action).collect();
    assert_eq!(audit.actions().await[done.len()..], actions);
}
