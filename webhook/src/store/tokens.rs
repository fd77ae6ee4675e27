//! Tokens: only their SHA-256 is kept. A token has 256 random bits, so nothing slower is needed.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::{Scope, TokenView};
use windlass_core::names::{ProjectName, StageName};

use super::audit::{Action, Deed, record};
use super::{Store, StoreError, count_up, from_json, optional_time, text, time, to_json, word};

/// What a new token may do, and where.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    pub project: Option<ProjectName>,
    pub stage: Option<StageName>,
}

/// Whoever may write the server's data folder.
const SERVER: &str = "server";

const COLUMNS: &str = "id, name, scopes, project, stage, created_at, last_used_at, revoked_at";

impl Store {
    /// Stores a token's hash.
    pub(crate) async fn create_token(
        &self,
        token: &str,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Result<TokenView, StoreError> {
        let mut write = self.begin().await?;
        let id = count_up(&mut write, "token", 1).await?;
        sqlx::query(
            "INSERT INTO tokens (id, name, hash, scopes, project, stage, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(&request.name)
        .bind(hash(token))
        .bind(to_json("scopes", &request.scopes)?)
        .bind(request.project.as_ref().map(|project| project.as_str()))
        .bind(request.stage.as_ref().map(|stage| stage.as_str()))
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        let project = request.project.as_ref().map_or("any project", |project| project.as_str());
        let detail = format!("{} for {project}", request.name);
        record(&mut write, &Deed { actor: SERVER, action: Action::CreateToken, stage: None, detail: &detail, at: now })
            .await?;
        self.commit(write).await?;
        Ok(TokenView {
            id,
            name: request.name.clone(),
            scopes: request.scopes.clone(),
            project: request.project.clone(),
            stage: request.stage.clone(),
            created_at: now,
            last_used_at: None,
            revoked_at: None,
        })
    }

    /// All tokens, oldest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<TokenView>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        rows.iter().map(token_view).collect()
    }

    /// The token with this value, unless it was revoked.
    pub(crate) async fn find_token(&self, token: &str) -> Result<Option<TokenView>, StoreError> {
        // Looked up by its hash: how long that takes tells nothing about the token.
        let sql = format!("SELECT {COLUMNS} FROM tokens WHERE hash = ? AND revoked_at IS NULL");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(hash(token)).fetch_optional(&self.reader).await?;
        row.as_ref().map(token_view).transpose()
    }

    /// Remembers that a token was used, at most once a minute.
    pub(crate) async fn token_used(&self, token: &TokenView, now: Timestamp) -> Result<(), StoreError> {
        if token.last_used_at.is_some_and(|last| now.duration_since(last).as_secs() < 60) {
            return Ok(());
        }
        let mut write = self.begin().await?;
        sqlx::query("UPDATE tokens SET last_used_at = ? WHERE id = ?")
            .bind(text(now))
            .bind(token.id)
            .execute(&mut *write)
            .await?;
        self.commit(write).await
    }

    /// Ends a token. `false`: there is none with that number that was not ended already.
    pub(crate) async fn revoke_token(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin().await?;
        let changed = sqlx::query("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(text(now))
            .bind(id)
            .execute(&mut *write)
            .await?
            .rows_affected();
        if changed > 0 {
            let id = id.to_string();
            record(&mut write, &Deed { actor: SERVER, action: Action::RevokeToken, stage: None, detail: &id, at: now })
                .await?;
        }
        self.commit(write).await?;
        Ok(changed > 0)
    }
}

pub(super) fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

fn token_view(row: &SqliteRow) -> Result<TokenView, StoreError> {
    Ok(TokenView {
        id: row.get("id"),
        name: row.get("name"),
        scopes: from_json("scopes", row.get("scopes"))?,
        project: row.get::<Option<&str>, _>("project").map(|name| word("a project", name)).transpose()?,
        stage: row.get::<Option<&str>, _>("stage").map(|name| word("a stage", name)).transpose()?,
        created_at: time(row.get("created_at"))?,
        last_used_at: optional_time(row.get("last_used_at"))?,
        revoked_at: optional_time(row.get("revoked_at"))?,
    })
}
