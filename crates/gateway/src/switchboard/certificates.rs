//! What is shown to those who come by TLS, and to authorities that look whose a name is. None of it is changed while a
//! successor reads what is on disk.

use std::io;

use windlass_core::gateway::{Challenge, SetCertificates, SetChallenges};

use super::Switchboard;
use crate::lineage::Order;
use crate::refusal::{self, Refusal};

impl Switchboard {
    /// Shows these from now on, once they are on disk.
    pub(crate) async fn certificates(&self, request: SetCertificates) -> Result<(), Refusal> {
        self.unstoppable(|board| async move { board.set_certificates(request).await }).await
    }

    async fn set_certificates(&self, request: SetCertificates) -> Result<(), Refusal> {
        let Some(certificates) = self.certificates.clone() else { return Ok(()) };
        let _entries = self.entries_to_change().await?;
        let given = tokio::task::spawn_blocking(move || certificates.give(request.certificates));
        given.await.map_err(io::Error::other).and_then(|given| given).map_err(|error| refusal::snapshot(&error))
    }

    /// Answers an authority so from now on, whichever gateway it comes to.
    pub(crate) async fn challenges(&self, request: SetChallenges) -> Result<(), Refusal> {
        let _entries = self.entries_to_change().await?;
        self.predecessors.tell(Order::answer(request.challenges.clone())).await;
        self.answer(request.challenges);
        Ok(())
    }

    pub(super) fn answer(&self, challenges: Vec<Challenge>) {
        if let Some(certificates) = &self.certificates {
            certificates.challenge(challenges);
        }
    }
}
