//! The journal: a deployment's events, appended. Every append goes through the one transition function, and whatever
//! follows from it (the active release, a finished migration, what GitHub is told) is written in the same transaction.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::{DeploymentMessage, MessageBody};
use windlass_core::config::{AskedHosts, Refusal};
use windlass_core::deployment::{Deployment, DeploymentState, EVENT_VERSION, Event, Outcome, Phase};
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber};
use windlass_core::notice::GitHubState;
use windlass_core::plan::Plan;
use windlass_core::report;

use super::claims;
use super::columns::ENTRY_KIND;
use super::deployments::StoredDeployment;
use super::leases::hold;
use super::outbox::enqueue;
use super::{Store, StoreError, Write, from_json, signed, text, time, to_json, unsigned, word};

windlass_core::spelled! {
    "snake_case",
    /// What a line of the journal is.
    pub(super) enum EntryKind {
        /// Something happened.
        Event,
        /// Something was said about it.
        Log,
    }
}

/// What follows from an event beside the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// The release's migration has succeeded, and never runs again.
    Migrated(AppName, ReleaseNumber),
    /// The deployment's releases are what the stage serves.
    Activated,
    /// What the stage served before is what it serves.
    Deactivated,
}

impl Store {
    /// Appends an event and returns where the deployment stands then.
    pub(crate) async fn append(
        &self,
        deployment: &StoredDeployment,
        event: &Event,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<Deployment, StoreError> {
        let mut write = self.begin().await?;
        let after = self.append_in(&mut write, deployment, event, effect, now).await?;
        self.commit(write).await?;
        Ok(after)
    }

    /// The same within a transaction of the caller.
    pub(super) async fn append_in(
        &self,
        write: &mut Write,
        deployment: &StoredDeployment,
        event: &Event,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<Deployment, StoreError> {
        let before = replay(write, &deployment.id).await?;
        let after = before.apply(&deployment.id, event)?;
        insert(write, &deployment.id, &[(EntryKind::Event, to_json("an event", event)?)], now).await?;
        self.apply_effect(write, deployment, effect, now).await?;
        if let Some(notice) = deployment.subject().after(event) {
            enqueue(write, &deployment.id, &notice, now).await?;
        }
        if let Event::Ended { outcome: Outcome::Succeeded, .. } = event {
            if deployment.kind.leaves_hold() {
                hold(write, deployment, now).await?;
            }
            for predecessor in predecessors(write, deployment).await? {
                enqueue(write, &predecessor, &deployment.subject().replaced(), now).await?;
            }
        }
        let retired = matches!(after.phase(), Phase::Ended { retired: true, .. });
        sqlx::query("UPDATE deployments SET state = ?, retired = ?, ended_at = COALESCE(ended_at, ?) WHERE id = ?")
            .bind(after.state().as_str())
            .bind(i64::from(retired))
            .bind(after.state().is_final().then(|| text(now)))
            .bind(deployment.id.as_str())
            .execute(&mut **write)
            .await?;
        Ok(after)
    }

    /// The same, unless it is what was written last: what is looked at again and again is said once.
    pub(crate) async fn append_if_new(
        &self,
        deployment: &StoredDeployment,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.events(&deployment.id).await?.last().is_none_or(|(_, last)| last != event) {
            self.append(deployment, event, &Effect::None, now).await?;
        }
        Ok(())
    }

    /// Stores the plan together with the event that it exists, and claims what it will serve. `Err`: another project has
    /// that, and nothing was stored.
    pub(crate) async fn append_plan(
        &self,
        deployment: &StoredDeployment,
        plan: &Plan,
        hosts: &AskedHosts,
        now: Timestamp,
    ) -> Result<Result<Deployment, Refusal>, StoreError> {
        let mut write = self.begin().await?;
        let project = &deployment.stage.project;
        if let Some(refusal) = hosts.refusal(claims::all(&mut write).await?) {
            return Ok(Err(refusal));
        }
        for claim in hosts.claims() {
            claims::claim(&mut write, project, &claim, &deployment.id, now).await?;
        }
        sqlx::query("INSERT INTO plans (deployment, generation, body, created_at) VALUES (?, ?, ?, ?)")
            .bind(deployment.id.as_str())
            .bind(signed(plan.generation.0))
            .bind(to_json("a plan", plan)?)
            .bind(text(now))
            .execute(&mut *write)
            .await?;
        let event =
            Event::Planned { steps: plan.steps.len(), switch: plan.switch_index(), retire: plan.retire_index() };
        let after = replay(&mut write, &deployment.id).await?.apply(&deployment.id, &event)?;
        insert(&mut write, &deployment.id, &[(EntryKind::Event, to_json("an event", &event)?)], now).await?;
        enqueue(&mut write, &deployment.id, &deployment.subject().begins(plan), now).await?;
        sqlx::query("UPDATE deployments SET state = ?, generation = ? WHERE id = ?")
            .bind(after.state().as_str())
            .bind(signed(plan.generation.0))
            .bind(deployment.id.as_str())
            .execute(&mut *write)
            .await?;
        self.commit(write).await?;
        Ok(Ok(after))
    }

    /// Appends lines to the deployment's log, and says of their sources how many lines are accounted for now.
    pub(crate) async fn append_log(
        &self,
        deployment: &DeploymentId,
        lines: &[(String, String)],
        accounted: &HashMap<String, u64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let bodies = lines
            .iter()
            .map(|(source, line)| {
                let body = MessageBody::Log { source: source.clone(), line: line.clone() };
                Ok((EntryKind::Log, to_json("a log line", &body)?))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut write = self.begin().await?;
        insert(&mut write, deployment, &bodies, now).await?;
        for (source, lines) in accounted {
            sqlx::query(
                "INSERT INTO log_sources (deployment, source, lines) VALUES (?, ?, ?)
                 ON CONFLICT (deployment, source) DO UPDATE SET lines = MAX(lines, excluded.lines)",
            )
            .bind(deployment.as_str())
            .bind(source)
            .bind(signed(*lines))
            .execute(&mut *write)
            .await?;
        }
        self.commit(write).await
    }

    /// How many lines of each source are accounted for: kept, or left out.
    pub(crate) async fn logged_lines(&self, id: &DeploymentId) -> Result<HashMap<String, u64>, StoreError> {
        let rows = sqlx::query("SELECT source, lines FROM log_sources WHERE deployment = ?")
            .bind(id.as_str())
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.iter().map(|row| (row.get("source"), unsigned(row.get("lines")))).collect())
    }

    /// Where a deployment stands.
    pub(crate) async fn standing(&self, id: &DeploymentId) -> Result<Deployment, StoreError> {
        let events = self.events(id).await?;
        Ok(Deployment::replay(id, events.iter().map(|(_, event)| event))?)
    }

    /// All that happened, with its time.
    pub(crate) async fn events(&self, id: &DeploymentId) -> Result<Vec<(Timestamp, Event)>, StoreError> {
        let rows = sqlx::query("SELECT at, body FROM deployment_events WHERE deployment = ? AND kind = ? ORDER BY seq")
            .bind(id.as_str())
            .bind(EntryKind::Event.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((time(row.get("at"))?, from_json("an event", row.get("body"))?))).collect()
    }

    /// Events and log lines after a place in the sequence, in order.
    pub(crate) async fn messages(
        &self,
        id: &DeploymentId,
        after: u64,
        plan: Option<&Plan>,
    ) -> Result<Vec<DeploymentMessage>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, body FROM deployment_events WHERE deployment = ? AND seq > ? ORDER BY seq LIMIT 1000",
        )
        .bind(id.as_str())
        .bind(signed(after))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| message(row, plan)).collect()
    }

    /// The last of them after a place in the sequence, in order.
    pub(crate) async fn last_messages(
        &self,
        id: &DeploymentId,
        after: u64,
        plan: Option<&Plan>,
    ) -> Result<Vec<DeploymentMessage>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, body FROM deployment_events WHERE deployment = ? AND seq > ?
             ORDER BY seq DESC LIMIT 500",
        )
        .bind(id.as_str())
        .bind(signed(after))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().rev().map(|row| message(row, plan)).collect()
    }

    async fn apply_effect(
        &self,
        write: &mut Write,
        deployment: &StoredDeployment,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stage = &deployment.stage;
        match effect {
            Effect::None => {}
            Effect::Migrated(app, release) => {
                sqlx::query(
                    "INSERT INTO migrations_done (project, stage, app, release_number, deployment, done_at)
                     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (project, stage, app, release_number) DO NOTHING",
                )
                .bind(stage.project.as_str())
                .bind(stage.name.as_str())
                .bind(app.as_str())
                .bind(signed(release.0))
                .bind(deployment.id.as_str())
                .bind(text(now))
                .execute(&mut **write)
                .await?;
            }
            Effect::Activated => {
                for (app, release) in &deployment.releases {
                    sqlx::query(
                        "INSERT INTO active_releases (project, stage, app, release_number, deployment, since)
                         VALUES (?, ?, ?, ?, ?, ?)
                         ON CONFLICT (project, stage, app) DO UPDATE SET
                         previous_release = active_releases.release_number,
                         previous_deployment = active_releases.deployment,
                         previous_since = active_releases.since,
                         release_number = excluded.release_number,
                         deployment = excluded.deployment,
                         since = excluded.since
                         WHERE active_releases.deployment <> excluded.deployment",
                    )
                    .bind(stage.project.as_str())
                    .bind(stage.name.as_str())
                    .bind(app.as_str())
                    .bind(signed(release.0))
                    .bind(deployment.id.as_str())
                    .bind(text(now))
                    .execute(&mut **write)
                    .await?;
                }
            }
            Effect::Deactivated => {
                let mine = "deployment = ? AND project = ? AND stage = ?";
                for sql in [
                    format!("DELETE FROM active_releases WHERE {mine} AND previous_deployment IS NULL"),
                    format!(
                        "UPDATE active_releases SET release_number = previous_release, deployment = previous_deployment,
                         since = previous_since, previous_release = NULL, previous_deployment = NULL,
                         previous_since = NULL WHERE {mine}"
                    ),
                ] {
                    sqlx::query(sqlx::AssertSqlSafe(sql))
                        .bind(deployment.id.as_str())
                        .bind(stage.project.as_str())
                        .bind(stage.name.as_str())
                        .execute(&mut **write)
                        .await?;
                }
            }
        }
        Ok(())
    }
}

async fn replay(write: &mut Write, id: &DeploymentId) -> Result<Deployment, StoreError> {
    let rows = sqlx::query("SELECT body FROM deployment_events WHERE deployment = ? AND kind = ? ORDER BY seq")
        .bind(id.as_str())
        .bind(EntryKind::Event.as_str())
        .fetch_all(&mut **write)
        .await?;
    let events =
        rows.iter().map(|row| from_json("an event", row.get("body"))).collect::<Result<Vec<Event>, StoreError>>()?;
    Ok(Deployment::replay(id, &events)?)
}

async fn insert(
    write: &mut Write,
    id: &DeploymentId,
    bodies: &[(EntryKind, String)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS last FROM deployment_events WHERE deployment = ?")
        .bind(id.as_str())
        .fetch_one(&mut **write)
        .await?;
    for (seq, (kind, body)) in (row.get::<i64, _>("last") + 1..).zip(bodies) {
        sqlx::query(
            "INSERT INTO deployment_events (deployment, seq, at, version, kind, body) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id.as_str())
        .bind(seq)
        .bind(text(now))
        .bind(EVENT_VERSION)
        .bind(kind.as_str())
        .bind(body)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}

/// The stage's earlier deployments whose last word was success and of which nothing is served any more. One that deployed
/// several apps stays as long as one of them is still what it made it.
async fn predecessors(write: &mut Write, deployment: &StoredDeployment) -> Result<Vec<DeploymentId>, StoreError> {
    let rows = sqlx::query(
        "SELECT id FROM deployments d WHERE project = ? AND stage = ? AND state = ? AND id <> ?
         AND NOT EXISTS (SELECT 1 FROM active_releases a WHERE a.deployment = d.id)
         AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.deployment = d.id AND json_extract(o.message, '$.state') = ?)
         ORDER BY number",
    )
    .bind(deployment.stage.project.as_str())
    .bind(deployment.stage.name.as_str())
    .bind(DeploymentState::Succeeded.as_str())
    .bind(deployment.id.as_str())
    .bind(GitHubState::Inactive.as_str())
    .fetch_all(&mut **write)
    .await?;
    rows.iter().map(|row| word("a deployment's id", row.get("id"))).collect()
}

fn message(row: &SqliteRow, plan: Option<&Plan>) -> Result<DeploymentMessage, StoreError> {
    let body = match ENTRY_KIND.read(row)? {
        EntryKind::Log => from_json("a log line", row.get("body"))?,
        EntryKind::Event => {
            let event: Event = from_json("an event", row.get("body"))?;
            let text = report::event(&event, plan);
            MessageBody::Event { body: event, text }
        }
    };
    Ok(DeploymentMessage { seq: unsigned(row.get("seq")), at: time(row.get("at"))?, body })
}
