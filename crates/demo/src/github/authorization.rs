//! Who may ask. Stricter than GitHub in one thing: nothing of the API but the rate limit is answered without a token.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::exchange::Refusal;
use super::model::Model;

/// Good for everything but what only an App itself may ask.
pub(super) const TOKEN: &str = "token-of-the-stand-in-github";

/// The longest a JWT may be good for.
const LONGEST: i64 = 600;

pub(super) fn check(request: &Request, model: &Model) -> Result<(), Refusal> {
    let path = request.uri().path();
    // The issuer of jobs' tokens is not the API.
    if path == "/rate_limit" || path.starts_with("/_services/") {
        return Ok(());
    }
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(token_of) else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Requires authentication"));
    };
    if path == "/app" || path.starts_with("/app/") || path.ends_with("/installation") {
        return check_jwt(token, jiff::Timestamp::now().as_second() - model.clock_back)
            .map_err(|why| Refusal::new(StatusCode::UNAUTHORIZED, why));
    }
    let installation = model.tokens.contains(token);
    if installation && owner_of(path).is_some_and(|owner| model.registration.is_removed(owner)) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Bad credentials"));
    }
    if installation && owner_of(path).is_some_and(|owner| model.registration.is_suspended(owner)) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "This installation has been suspended"));
    }
    if token == TOKEN || installation { Ok(()) } else { Err(Refusal::new(StatusCode::UNAUTHORIZED, "Bad credentials")) }
}

fn owner_of(path: &str) -> Option<&str> {
    path.strip_prefix("/repos/")?.split('/').next()
}

fn token_of(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")).then_some(token)
}

/// All but the signature: whose key it is nobody has told this GitHub.
fn check_jwt(token: &str, now: i64) -> Result<(), &'static str> {
    const NOT_ONE: &str = "A JSON web token could not be decoded";
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { return Err(NOT_ONE) };
    let read = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let (Some(head), Some(claims)) = (read(head), read(claims)) else { return Err(NOT_ONE) };
    if head["alg"] != "RS256" || URL_SAFE_NO_PAD.decode(signature).is_err() || signature.is_empty() {
        return Err(NOT_ONE);
    }
    if claims["iss"].is_null() {
        return Err("Missing 'issuer' claim ('iss') in assertion");
    }
    let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return Err("'Issued at' claim ('iat') and 'Expiration time' claim ('exp') must be integers");
    };
    if issued > now {
        return Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
    }
    if expires <= now {
        return Err("'Expiration time' claim ('exp') must be a numeric value representing the future time");
    }
    if expires > now + LONGEST {
        return Err("'Expiration time' claim ('exp') is too far in the future");
    }
    Ok(())
}
