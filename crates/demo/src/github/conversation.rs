//! What is said on a pull request.

use std::time::Duration;

use jiff::Timestamp;

use super::model::Comment;
use super::repository::FakeRepository;
use super::shared::TimedOut;

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentRecord {
    /// GitHub's id.
    pub id: u64,
    /// Its text, and before it what it was before each edit.
    pub bodies: Vec<String>,
}

impl CommentRecord {
    /// What it says now.
    #[must_use]
    pub fn body(&self) -> &str {
        self.bodies.last().map_or("", String::as_str)
    }
}

impl FakeRepository {
    /// The comments on a pull request, oldest first.
    #[must_use]
    pub fn comments(&self, pull_request: u64) -> Vec<CommentRecord> {
        let model = self.shared.model();
        let of = model.repository(self.id()).comments.iter().filter(|it| it.pull_request == pull_request);
        of.map(|it| CommentRecord { id: it.id, bodies: it.bodies.clone() }).collect()
    }

    /// Somebody comments; gives the comment's id.
    pub fn add_comment(&self, pull_request: u64, body: &str) -> u64 {
        let mut model = self.shared.model();
        let (id, now) = (model.new_id(), Timestamp::now());
        let bodies = vec![body.to_owned()];
        let comment = Comment { id, pull_request, bodies, created_at: now, updated_at: now };
        model.repository_mut(self.id()).comments.push(comment);
        id
    }

    /// Somebody deletes a comment.
    pub fn delete_comment(&self, id: u64) {
        self.shared.model().repository_mut(self.id()).comments.retain(|it| it.id != id);
    }

    /// Nobody may comment on a pull request any more.
    pub fn lock_conversation(&self, pull_request: u64) {
        self.shared.model().repository_mut(self.id()).locked.insert(pull_request);
    }

    /// Waits for a comment on a pull request that is as wanted.
    ///
    /// # Errors
    ///
    /// When there was none in time.
    pub async fn until_comment(
        &self,
        pull_request: u64,
        wanted: impl Fn(&CommentRecord) -> bool,
        timeout: Duration,
    ) -> Result<CommentRecord, TimedOut> {
        let look = || self.comments(pull_request).into_iter().find(&wanted);
        self.shared.until(timeout, look).await.ok_or_else(|| TimedOut {
            what: format!("a comment on pull request {pull_request}"),
            waited: timeout,
            seen: format!("{:?}", self.comments(pull_request)),
        })
    }
}
