//! A stage's lock: read with its mark, and changed only as the one that was read.

use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder};
use windlass_core::api::{NewLock, ShownLock};
use windlass_core::stage::Stage;

use super::{Client, ClientError, REQUEST_TIMEOUT, path_of};

/// A lock, and the mark by which it is told from a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundLock {
    pub(crate) lock: ShownLock,
    etag: String,
}

impl Client {
    /// The stage's lock; `None`: nobody has locked it.
    pub(crate) async fn lock(&self, stage: &Stage) -> Result<Option<FoundLock>, ClientError> {
        let path = path_of(stage, &["lock"]);
        match self.lock_answer(self.request(Method::GET, &path), &path).await {
            Err(ClientError::Problem(problem)) if problem.code == "no_lock" => Ok(None),
            found => found.map(Some),
        }
    }

    /// Locks the stage: a free one, or in the place of the lock that was read.
    pub(crate) async fn take_lock(
        &self,
        stage: &Stage,
        new: &NewLock,
        in_place_of: Option<&FoundLock>,
    ) -> Result<FoundLock, ClientError> {
        let path = path_of(stage, &["lock"]);
        let request = self.request(Method::PUT, &path).json(new);
        let request = match in_place_of {
            Some(there) => request.header(IF_MATCH, &there.etag),
            None => request.header(IF_NONE_MATCH, "*"),
        };
        self.lock_answer(request, &path).await
    }

    /// Ends the lock that was read, and no other.
    pub(crate) async fn release_lock(&self, stage: &Stage, there: &FoundLock) -> Result<(), ClientError> {
        let path = path_of(stage, &["lock"]);
        let request = self.request(Method::DELETE, &path).header(IF_MATCH, &there.etag).timeout(REQUEST_TIMEOUT);
        self.answer(request, &path).await.map(drop)
    }

    async fn lock_answer(&self, request: RequestBuilder, path: &[&str]) -> Result<FoundLock, ClientError> {
        let answer = self.answer(request.timeout(REQUEST_TIMEOUT), path).await?;
        let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
        Ok(FoundLock { lock: self.read(answer, path).await?, etag })
    }
}
