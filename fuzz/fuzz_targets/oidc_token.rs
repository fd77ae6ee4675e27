//! A job's token, whatever is in it: what is accepted was signed by the issuer, for us, for now. The input's first byte
//! says what the rest is: `e` edits of tokens that the issuer did sign, `s` claims that it signs whatever they are, and
//! anything else a token.

#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use windlass_webhook::fuzzing::KnownIssuer;

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const US: &str = "https://deploy.example.com";
const NOW: i64 = 1_800_000_000;
/// How far clocks may differ.
const SKEW: i64 = 60;

fuzz_target!(|input: &[u8]| match input.split_first() {
    Some((b'e', edits)) => {
        let token = edited(edits);
        // Whatever was done to a token, it is good if it is one of the good ones again.
        assert_eq!(accepts(&token), WORLD.good.contains(&token), "{token}");
    }
    Some((b's', claims)) => {
        let claims = String::from_utf8_lossy(claims);
        if accepts(&WORLD.sign(&claims)) {
            let claims: Value = serde_json::from_str(&claims).expect("only JSON is accepted");
            assert!(is_or_has(&claims["iss"], ISSUER), "accepted from {}", claims["iss"]);
            assert!(is_or_has(&claims["aud"], US), "accepted for {}", claims["aud"]);
            assert!(claims["exp"].as_i64().is_some_and(|exp| exp + SKEW > NOW), "accepted until {}", claims["exp"]);
            assert!(claims["nbf"].as_i64().is_none_or(|nbf| nbf - SKEW <= NOW), "accepted from {}", claims["nbf"]);
        }
    }
    _ => {
        let token = String::from_utf8_lossy(input).into_owned();
        assert_eq!(accepts(&token), WORLD.good.contains(&token), "{token}");
    }
});

struct World {
    issuer: KnownIssuer,
    key: EncodingKey,
    /// To be accepted.
    good: Vec<String>,
    /// Signed too, and all the same for somebody else or for another time.
    bad: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    // A key that signs nothing anywhere, kept for the tests of `webhook`.
    let pem = include_bytes!("../../webhook/tests/it/github/key-of-no-app.pem");
    let key = EncodingKey::from_rsa_pem(pem).expect("an RSA key in PEM");
    let mut public = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("an RSA key has a public half");
    public.common.key_id = Some("1".to_owned());
    let public = serde_json::to_value(public).expect("a key is JSON");
    let mut world =
        World { issuer: KnownIssuer::knowing(ISSUER, US, &[public]), key, good: Vec::new(), bad: Vec::new() };
    let changed = |changes: &[(&str, Value)]| {
        let mut claims = claims();
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        claims.to_string()
    };
    world.good = [changed(&[]), changed(&[("nbf", json!(NOW))]), changed(&[("run_id", json!("7"))])]
        .map(|claims| world.sign(&claims))
        .into();
    world.bad = [
        changed(&[("aud", json!("https://github.com/acme"))]),
        changed(&[("iss", json!("https://token.example.com"))]),
        changed(&[("exp", json!(NOW - 600))]),
        changed(&[("nbf", json!(NOW + 600))]),
    ]
    .map(|claims| world.sign(&claims))
    .into();
    world
});

fn claims() -> Value {
    json!({
        "jti": "1", "iss": ISSUER, "aud": US, "exp": NOW + 300, "sub": "repo:acme/shop:ref:refs/heads/main",
        "repository": "acme/shop", "repository_id": "1296269", "ref": "refs/heads/main",
        "sha": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "event_name": "push", "actor": "octavia",
        "run_id": "1", "run_attempt": "1", "check_run_id": "1"
    })
}

impl World {
    fn sign(&self, claims: &str) -> String {
        let signed = format!("{}.{}", encode(br#"{"alg":"RS256","kid":"1"}"#), encode(claims.as_bytes()));
        let signature = sign(signed.as_bytes(), &self.key, Algorithm::RS256).expect("an RSA key signs");
        format!("{signed}.{signature}")
    }
}

fn accepts(token: &str) -> bool {
    let now = Timestamp::from_second(NOW).expect("a moment");
    WORLD.issuer.accepts(token, now)
}

/// One of the signed tokens; then, three bytes each, where something is changed and what is put there.
fn edited(edits: &[u8]) -> String {
    let all: Vec<&String> = WORLD.good.iter().chain(&WORLD.bad).collect();
    let Some((which, edits)) = edits.split_first() else { return String::new() };
    let mut token = all[usize::from(*which) % all.len()].clone().into_bytes();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        let at = (place >> 2) % token.len().max(1);
        match place & 3 {
            0 => token.insert(at, edit[2]),
            1 => drop(token.drain(at..(at + 1).min(token.len()))),
            2 => token.truncate(at),
            _ => token.iter_mut().skip(at).take(1).for_each(|byte| *byte = edit[2]),
        }
    }
    String::from_utf8_lossy(&token).into_owned()
}

fn is_or_has(claim: &Value, wanted: &str) -> bool {
    claim == wanted || claim.as_array().is_some_and(|all| all.iter().any(|one| one == wanted))
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digit = move |place: usize| char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]);
        (0..=group.len()).map(digit)
    };
    bytes.chunks(3).flat_map(group).collect()
}
