//! The service's own record, which can be made to refuse one entry: then the service is before that entry, however long
//! one takes to kill it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row};
use windlass_core::plan::Plan;

/// What the service's log says of a refused entry.
pub(super) const REFUSED: &str = "the matrix cuts here";

/// The store's file, opened beside the service.
pub(super) struct Journal(SqlitePool);

/// An event of a step.
pub(super) struct Refused {
    event: &'static str,
    step: usize,
}

impl Refused {
    pub(super) fn start_of(step: usize) -> Self {
        Self { event: "step_started", step }
    }

    pub(super) fn failure_of(step: usize) -> Self {
        Self { event: "step_failed", step }
    }

    pub(super) fn end_of(step: usize) -> Self {
        Self { event: "step_finished", step }
    }
}

impl Journal {
    pub(super) async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(crate::world::PATIENCE);
        Self(SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap())
    }

    /// From now on this entry is refused, as by a disk that is full.
    pub(super) async fn refuse(&self, refused: &Refused) {
        let Refused { event, step } = refused;
        self.execute(format!(
            "CREATE TRIGGER cut BEFORE INSERT ON deployment_events
             WHEN NEW.kind = 'event' AND NEW.body ->> 'event' = '{event}' AND NEW.body ->> 'step' = {step}
             BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        ))
        .await;
    }

    /// Everything is taken again.
    pub(super) async fn allow(&self) {
        self.execute("DROP TRIGGER cut".to_owned()).await;
    }

    pub(super) async fn plan(&self, deployment: &str) -> Plan {
        let query = sqlx::query("SELECT body FROM plans WHERE deployment = ?").bind(deployment.to_owned());
        serde_json::from_str(query.fetch_one(&self.0).await.unwrap().get("body")).unwrap()
    }

    /// Whether nothing is left to do for it.
    pub(super) async fn is_settled(&self, deployment: &str) -> bool {
        let query = sqlx::query("SELECT retired, ended_at FROM deployments WHERE id = ?").bind(deployment.to_owned());
        let row = query.fetch_one(&self.0).await.unwrap();
        row.get::<Option<String>, _>("ended_at").is_some() && row.get::<i64, _>("retired") == 1
    }

    /// Whether this step has failed.
    pub(super) async fn has_failed(&self, deployment: &str, step: usize) -> bool {
        let step = i64::try_from(step).unwrap();
        let sql = "SELECT 1 FROM deployment_events WHERE deployment = ? AND kind = 'event'
                   AND body ->> 'event' = 'step_failed' AND body ->> 'step' = ?";
        let query = sqlx::query(sql).bind(deployment.to_owned()).bind(step);
        query.fetch_optional(&self.0).await.unwrap().is_some()
    }

    async fn execute(&self, sql: String) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.0).await.unwrap();
    }
}
