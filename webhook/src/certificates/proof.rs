//! How a name is shown to be ours: what the gateways answer, and what stands in the DNS, while the authority looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use instant_acme::{ChallengeHandle, ChallengeType};
use windlass_core::config::AcmeChallenge;
use windlass_core::gateway::Challenge;

use super::dns::Record;
use super::gateways::Answered;
use super::order::{Ordering, address};

/// Two names may be proven by one record: each has its turn.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn of(&self, record: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn =
            Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(record.to_owned()).or_default());
        turn.lock_owned().await
    }
}

/// What is answered while the authority looks.
pub(super) enum Proof<'a> {
    AtGateways { _answered: Answered<'a> },
    InDns { record: Record, _turn: tokio::sync::OwnedMutexGuard<()> },
}

impl Ordering<'_> {
    /// The kinds of challenges that can be met, the one whose turn it is first.
    pub(super) fn possible(&self) -> Vec<AcmeChallenge> {
        let config = &self.authority.config;
        let mut kinds: Vec<AcmeChallenge> = config.challenges.clone();
        let (is_address, is_many, answers) =
            (address(self.name).is_some(), self.name.starts_with("*."), !self.gateways.is_empty());
        kinds.retain(|kind| match kind {
            AcmeChallenge::Dns01 => config.dns.is_some() && !is_address,
            AcmeChallenge::Http01 => answers && !is_many,
            AcmeChallenge::TlsAlpn01 => answers && !is_many && !is_address,
        });
        let failed = self.shelf.get(self.name).and_then(|entry| entry.kept.trouble?.challenge);
        in_turn(kinds, failed)
    }

    pub(super) fn impossible(&self, offers: &[&str]) -> String {
        if self.name.starts_with("*.") {
            return "a name with a `*` is proven by dns-01 only: it has to stand in `challenges` of [acme], and [acme.dns] has \
                    to say how"
                .to_owned();
        }
        format!("none of `challenges` of [acme] is possible: the authority offers {}", offers.join(", "))
    }

    pub(super) async fn answer(
        &self,
        kind: AcmeChallenge,
        challenge: &ChallengeHandle<'_>,
    ) -> Result<Proof<'_>, String> {
        let name = self.name.to_owned();
        let answer = challenge.key_authorization();
        let key_authorization = answer.as_str().to_owned();
        let at_gateways = match kind {
            AcmeChallenge::Http01 => Challenge::Http { name, token: challenge.token.clone(), key_authorization },
            AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn { name, key_authorization },
            AcmeChallenge::Dns01 => {
                let Some(dns) = &self.authority.config.dns else { return Err("there is no [acme.dns]".to_owned()) };
                let record = Record::of(self.name, answer.dns_value());
                let _turn = self.turns.of(&record.name).await;
                if let Err(why) = record.hand_to(&dns.command).await {
                    self.clean_up(&record).await;
                    return Err(format!("the record {} could not be added: {why}", record.name));
                }
                tokio::time::sleep(dns.wait.0).await;
                return Ok(Proof::InDns { record, _turn });
            }
        };
        Ok(Proof::AtGateways { _answered: self.gateways.answer(at_gateways).await? })
    }

    pub(super) async fn take_back(&self, proof: Proof<'_>) {
        if let Proof::InDns { record, .. } = proof {
            self.clean_up(&record).await;
        }
    }

    async fn clean_up(&self, record: &Record) {
        let command = self.authority.config.dns.as_ref().map(|dns| &dns.clean_up).filter(|command| !command.is_empty());
        if let Some(command) = command
            && let Err(why) = record.hand_to(command).await
        {
            tracing::warn!(record = record.name, why, "a record could not be taken away again");
        }
    }
}

/// The one after the one that failed last comes first.
fn in_turn(mut kinds: Vec<AcmeChallenge>, failed: Option<AcmeChallenge>) -> Vec<AcmeChallenge> {
    if let Some(at) = failed.and_then(|failed| kinds.iter().position(|kind| *kind == failed)) {
        let next = (at + 1) % kinds.len();
        kinds.rotate_left(next);
    }
    kinds
}

pub(super) fn as_type(kind: AcmeChallenge) -> ChallengeType {
    match kind {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        AcmeChallenge::Dns01 => ChallengeType::Dns01,
    }
}

pub(super) fn as_kind(kind: &ChallengeType) -> Option<AcmeChallenge> {
    [AcmeChallenge::Http01, AcmeChallenge::TlsAlpn01, AcmeChallenge::Dns01].into_iter().find(|it| as_type(*it) == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AcmeChallenge::{Dns01, Http01, TlsAlpn01};

    #[test]
    fn each_refusal_of_one_kind_of_challenge_gives_the_next_its_turn() {
        let kinds = vec![Http01, TlsAlpn01, Dns01];
        assert_eq!(in_turn(kinds.clone(), None), kinds);
        assert_eq!(in_turn(kinds.clone(), Some(Http01)), [TlsAlpn01, Dns01, Http01]);
        assert_eq!(in_turn(kinds.clone(), Some(Dns01)), kinds, "and begins anew");
        assert_eq!(in_turn(vec![Http01], Some(Dns01)), [Http01], "which is not possible any more");
    }
}
