//! From a name to its certificate. Each try looks at how far the order is and goes on from there, so that one that was
//! interrupted, by a restart or a bad nonce, loses nothing.

use std::net::IpAddr;
use std::time::Duration;

use instant_acme::{Account, AuthorizationStatus, ChallengeStatus, Error, Identifier, NewOrder, Order, OrderStatus};
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use tokio::time::Instant;
use windlass_core::config::AcmeChallenge;

use super::authority::{Authority, Failed, bad_nonce, forgot_us, may_be_of_the_renewal, words};
use super::gateways::Gateways;
use super::leaf::Leaf;
use super::proof::{Proof, Turns, as_kind, as_type};
use super::shelf::{Got, SecretPem, Shelf, UnderWay};

/// So often a bad nonce, or what the authority has forgotten, is begun again at once.
const AT_ONCE: usize = 8;
/// How long an authority may take to look at a name, and then for the certificate.
const PATIENCE: Duration = Duration::from_secs(90);
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What an order is made with.
pub(super) struct Ordering<'a> {
    pub(super) authority: &'a Authority,
    pub(super) shelf: &'a Shelf,
    pub(super) gateways: &'a Gateways,
    pub(super) turns: &'a Turns,
    pub(super) name: &'a str,
}

impl Ordering<'_> {
    /// Gets a certificate, and keeps it. The pause is what the authority asked for.
    pub(super) async fn run(&self) -> Result<Leaf, (Failed, Option<Duration>)> {
        let mut last = String::new();
        for _ in 0..AT_ONCE {
            let (account, alone) = match self.authority.account(self.shelf).await {
                Err((Failed::AtOnce(why), _)) => {
                    last = why;
                    continue;
                }
                account => account?,
            };
            match self.go_on(&account).await {
                Err(Failed::AtOnce(why)) => last = why,
                Err(Failed::Forgotten) => {
                    self.authority.forget(self.shelf, account.id()).await;
                    "the authority does not know our account any more".clone_into(&mut last);
                }
                gone => return gone.map_err(|failed| (failed, alone.asked())),
            }
        }
        Err((Failed::refused(last), None))
    }

    async fn go_on(&self, account: &Account) -> Result<Leaf, Failed> {
        let (mut order, key) = self.order(account).await?;
        let mut until = Instant::now() + PATIENCE;
        let mut look = FIRST_LOOK;
        loop {
            let status = order.state().status;
            match status {
                OrderStatus::Pending => {
                    self.prove(&mut order).await?;
                    // A record in the DNS takes its own time.
                    until = Instant::now() + PATIENCE;
                }
                OrderStatus::Ready => {
                    let csr = self.request(&key)?;
                    order.finalize_csr(&csr).await.map_err(|error| self.failed(error))?;
                    continue;
                }
                OrderStatus::Processing => {}
                OrderStatus::Valid => return self.fetch(&mut order, &key).await,
                OrderStatus::Invalid => {
                    let why = order.state().error.as_ref().map(words);
                    let (why, challenge) = match why {
                        Some(why) => (why, None),
                        None => self.complaint(&mut order).await,
                    };
                    self.forget().await?;
                    return Err(Failed::Refused { why, challenge });
                }
            }
            if Instant::now() > until {
                return Err(Failed::refused(format!("the authority's order is still {}", spelled(status))));
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(LONGEST_LOOK);
            self.refresh(&mut order).await?;
        }
    }

    /// The order that is under way, or a new one.
    async fn order(&self, account: &Account) -> Result<(Order, KeyPair), Failed> {
        let entry = self.shelf.get(self.name);
        if let Some(under_way) = entry.as_ref().and_then(|entry| entry.kept.order.clone()) {
            let key = KeyPair::from_pem(&under_way.key.0).ok();
            match (account.order(under_way.url).await, key) {
                (Ok(order), Some(key)) => return Ok((order, key)),
                (Err(error), _) if forgot_us(&error) || bad_nonce(&error) => return Err(self.failed(error)),
                (Ok(_) | Err(Error::Api(_)), _) => {
                    self.forget().await?;
                    return Err(Failed::AtOnce("the authority does not know the order any more".to_owned()));
                }
                (Err(error), _) => return Err(self.failed(error)),
            }
        }
        let replaces = entry.filter(|entry| !entry.borrowed).and_then(|entry| entry.leaf?.identifier());
        let names = [match address(self.name) {
            Some(address) => Identifier::Ip(address),
            None => Identifier::Dns(self.name.to_owned()),
        }];
        let new = || match &self.authority.config.profile {
            Some(profile) => NewOrder::new(&names).profile(profile),
            None => NewOrder::new(&names),
        };
        let ordered = match replaces {
            // Whether the authority knows renewals by name, and this one, is for it to say.
            Some(replaces) => match account.new_order(&new().replaces(replaces)).await {
                Err(error) if may_be_of_the_renewal(&error) => account.new_order(&new()).await,
                ordered => ordered,
            },
            None => account.new_order(&new()).await,
        };
        let order = ordered.map_err(|error| self.failed(error))?;
        let key = KeyPair::generate().map_err(|error| Failed::refused(format!("no key could be made: {error}")))?;
        let under_way = UnderWay { url: order.url().to_owned(), key: SecretPem(key.serialize_pem()) };
        // Known before anything is asked for: whoever begins again finds it.
        self.keep(|kept| kept.order = Some(under_way)).await?;
        Ok((order, key))
    }

    /// Shows the authority that the name is ours.
    async fn prove(&self, order: &mut Order) -> Result<(), Failed> {
        let mut proofs = Vec::new();
        let looked = match self.show(order, &mut proofs).await {
            Ok(()) => self.until_looked(order).await,
            Err(failed) => Err(failed),
        };
        let met = proofs.first().map(|(kind, _)| *kind);
        for (_, proof) in proofs {
            self.take_back(proof).await;
        }
        if looked? == AuthorizationStatus::Valid {
            return Ok(());
        }
        let (why, challenge) = self.complaint(order).await;
        self.forget().await?;
        Err(Failed::Refused { why, challenge: challenge.or(met) })
    }

    /// Has everything answered that the authority will ask, and says that it may ask.
    async fn show<'b>(&'b self, order: &mut Order, proofs: &mut Vec<(AcmeChallenge, Proof<'b>)>) -> Result<(), Failed> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let challenges = &authorization.challenges;
            let begun = challenges.iter().find(|it| it.status == ChallengeStatus::Processing);
            let begun = begun.and_then(|it| as_kind(&it.r#type));
            let possible = self.possible();
            let offered = |kind: &AcmeChallenge| challenges.iter().any(|it| it.r#type == as_type(*kind));
            let Some(kind) = begun.into_iter().chain(possible).find(offered) else {
                let offers: Vec<&str> =
                    challenges.iter().filter_map(|it| as_kind(&it.r#type)).map(AcmeChallenge::as_str).collect();
                return Err(Failed::refused(self.impossible(&offers)));
            };
            let Some(mut challenge) = authorization.challenge(as_type(kind)) else { continue };
            let proof = self.answer(kind, &challenge).await;
            proofs.push((kind, proof.map_err(|why| Failed::Refused { why, challenge: Some(kind) })?));
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await.map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// Waits until the authority has looked at every name of the order.
    async fn until_looked(&self, order: &mut Order) -> Result<AuthorizationStatus, Failed> {
        let until = Instant::now() + PATIENCE;
        let mut look = FIRST_LOOK;
        loop {
            tokio::time::sleep(look).await;
            look = (look * 2).min(LONGEST_LOOK);
            let mut all = AuthorizationStatus::Valid;
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization.map_err(|error| self.failed(error))?;
                match authorization.refresh().await {
                    Ok(state) if state.status == AuthorizationStatus::Valid => {}
                    Ok(state) => all = state.status,
                    Err(error) if bad_nonce(&error) => all = AuthorizationStatus::Pending,
                    Err(error) => return Err(self.failed(error)),
                }
            }
            if all != AuthorizationStatus::Pending {
                return Ok(all);
            }
            if Instant::now() > until {
                return Err(Failed::refused("the authority did not look at the name in time"));
            }
        }
    }

    /// What the authority says of the challenge that was not met.
    async fn complaint(&self, order: &mut Order) -> (String, Option<AcmeChallenge>) {
        let mut authorizations = order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            for challenge in &authorization.challenges {
                if let Some(problem) = &challenge.error {
                    return (words(problem), as_kind(&challenge.r#type));
                }
            }
        }
        ("the authority turned the order down, and does not say why".to_owned(), None)
    }

    async fn refresh(&self, order: &mut Order) -> Result<(), Failed> {
        match order.refresh().await {
            Ok(_) => Ok(()),
            Err(error) if bad_nonce(&error) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn request(&self, key: &KeyPair) -> Result<Vec<u8>, Failed> {
        let request = || {
            let name = address(self.name).map_or_else(|| self.name.to_owned(), |address| address.to_string());
            let mut params = CertificateParams::new([name])?;
            params.distinguished_name = DistinguishedName::new();
            Ok(params.serialize_request(key)?.der().to_vec())
        };
        request().map_err(|error: rcgen::Error| Failed::refused(format!("no certificate can be asked for: {error}")))
    }

    async fn fetch(&self, order: &mut Order, key: &KeyPair) -> Result<Leaf, Failed> {
        let chain = order.certificate().await.map_err(|error| self.failed(error))?;
        let chain = chain.ok_or_else(|| Failed::AtOnce("the certificate is not there yet".to_owned()))?;
        let leaf = Leaf::of(&chain).map_err(|why| format!("what the authority gave cannot be used: {why}"));
        let leaf = match leaf {
            Ok(leaf) if leaf.public_key == key.subject_public_key_info() => leaf,
            other => {
                self.forget().await?;
                let why = other.err().unwrap_or_else(|| "the authority's certificate is for another key".to_owned());
                return Err(Failed::refused(why));
            }
        };
        let got = Got { chain, key: SecretPem(key.serialize_pem()), at: Timestamp::now() };
        self.keep(|kept| {
            (kept.certificate, kept.order, kept.trouble) = (Some(got), None, None);
        })
        .await?;
        Ok(leaf)
    }

    async fn forget(&self) -> Result<(), Failed> {
        self.keep(|kept| kept.order = None).await
    }

    async fn keep(&self, change: impl FnOnce(&mut super::shelf::NameFile)) -> Result<(), Failed> {
        let kept = self.shelf.change(self.name, change).await;
        kept.map_err(|error| Failed::refused(format!("it cannot be kept in the data folder: {error}")))
    }

    fn failed(&self, error: Error) -> Failed {
        if forgot_us(&error) { Failed::Forgotten } else { self.authority.failed(error) }
    }
}

/// Of a host without a name, as it stands in an address.
pub(super) fn address(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

fn spelled(status: OrderStatus) -> String {
    format!("{status:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_name_are_known_by_their_address() {
        assert_eq!(address("[2001:db8::1]"), "2001:db8::1".parse().ok());
        assert_eq!(address("192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(address("shop.example.com"), None);
    }
}
