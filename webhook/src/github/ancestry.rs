//! How commits stand to one another.

use serde::Deserialize;
use windlass_core::names::{CommitSha, ProjectName};

use super::GitHub;
use super::error::GitHubError;
use super::route::Route;

/// How a commit (the head) stands to another (the base).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// They are the same.
    Identical,
    /// The base is an ancestor of the head: the head is newer.
    Ahead,
    /// The head is an ancestor of the base: the head is older.
    Behind,
    /// Neither is an ancestor of the other.
    Diverged,
}

impl GitHub {
    /// How `head` stands to `base`.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not know one of the commits.
    pub async fn compare(
        &self,
        project: &ProjectName,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<Ancestry, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            status: String,
        }
        let route = Route::of(project).to("compare").to(&format!("{base}...{head}")).with("per_page", "1");
        let answer = self.connection.get(project, &route).await?;
        let wire: Wire = answer.json()?;
        match wire.status.as_str() {
            "identical" => Ok(Ancestry::Identical),
            "ahead" => Ok(Ancestry::Ahead),
            "behind" => Ok(Ancestry::Behind),
            "diverged" => Ok(Ancestry::Diverged),
            other => Err(answer.malformed(format!("`{other}` is no way for a commit to stand to another"))),
        }
    }
}
