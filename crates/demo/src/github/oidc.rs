//! The issuer of jobs' tokens: its keys, and what it signs with them. What is signed is [`super::jobs`]'.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::FakeGitHub;
use super::shared::Shared;

/// Where the issuer is, as on a GitHub of one's own: below the same host as its API.
pub(super) const ISSUER: &str = "/_services/token";

/// The issuer's keys. The first one is made when it is needed: that takes a while.
#[derive(Default)]
pub(super) struct Keys(Option<Key>);

struct Key {
    id: String,
    pair: RsaKeyPair,
}

/// A token that is not what the issuer would have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// Signed with somebody else's key, which its own id names.
    UnknownKey,
    /// Signed with somebody else's key, in the name of the issuer's.
    WrongKey,
    /// `HS256`, with the issuer's public key as the secret.
    Hs256,
    /// `none`: not signed.
    Unsigned,
}

impl FakeGitHub {
    /// Who signs jobs' tokens, for `oidc-issuer`.
    #[must_use]
    pub fn oidc_issuer(&self) -> String {
        format!("{}{ISSUER}", self.url())
    }

    /// Signs with a new key from now on, and shows only that one.
    pub fn rotate_oidc_keys(&self) {
        *self.shared.keys() = Keys(Some(Key::generate()));
    }

    /// A token that says this, as somebody makes it who is not the issuer.
    #[must_use]
    pub fn forge(&self, forgery: Forgery, claims: &Value) -> String {
        let other = Key::generate();
        let mut keys = self.shared.keys();
        let key = keys.current();
        match forgery {
            Forgery::UnknownKey => other.sign(claims),
            Forgery::WrongKey => Key { id: key.id.clone(), ..other }.sign(claims),
            Forgery::Hs256 => {
                let signed = unsigned("HS256", &key.id, claims);
                let secret = key.pair.public_key().as_ref();
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
                mac.update(signed.as_bytes());
                format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
            }
            Forgery::Unsigned => format!("{}.", unsigned("none", &key.id, claims)),
        }
    }
}

impl Keys {
    pub(super) fn sign(&mut self, claims: &Value) -> String {
        self.current().sign(claims)
    }

    fn current(&mut self) -> &Key {
        self.0.get_or_insert_with(Key::generate)
    }
}

impl Key {
    fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("RSA keys can be made");
        let id = hex::encode_upper(&Sha256::digest(pair.public_key().as_ref())[..20]);
        Self { id, pair }
    }

    fn sign(&self, claims: &Value) -> String {
        let signed = unsigned("RS256", &self.id, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("an RSA key signs");
        format!("{signed}.{}", encode(&signature))
    }
}

fn unsigned(algorithm: &str, key: &str, claims: &Value) -> String {
    let header = json!({ "typ": "JWT", "alg": algorithm, "x5t": key, "kid": key });
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `/.well-known/jwks`; beside the key one of another kind, which a reader must be able to pass over.
pub(super) async fn key_set(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let mut keys = shared.keys();
    let key = keys.current();
    let public = key.pair.public_key();
    Json(json!({ "keys": [
        { "kty": "OF-TOMORROW", "use": "sig", "kid": "tomorrow", "alg": "TM512", "t": "AQAB" },
        {
            "kty": "RSA",
            "use": "sig",
            "kid": key.id,
            "x5t": key.id,
            "alg": "RS256",
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero())
        }
    ] }))
}
