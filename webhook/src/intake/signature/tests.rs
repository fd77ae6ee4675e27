use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;

use super::{SignatureError, Signed};

const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const DIGITS: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// As a body that comes in two pieces.
fn verify(secrets: &[SecretString], header: Option<&str>, body: &[u8]) -> Result<(), SignatureError> {
    let mut signed = Signed::begin(secrets, header)?;
    let (first, second) = body.split_at(body.len() / 2);
    signed.update(first);
    signed.update(second);
    signed.finish()
}

fn secrets(values: &[&str]) -> Vec<SecretString> {
    values.iter().map(|value| SecretString::from(*value)).collect()
}

fn signed(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn rule_001_every_byte_of_the_body_is_signed_as_it_came() {
    let bodies: [&[u8]; 5] =
        [b"{ \"a\" :  1 }", br#"{"a":"\u00e9"}"#, "{\"a\":\"\u{1f680}\"}".as_bytes(), b"{}\n", &[0xff, 0x00, 0xfe]];
    for body in bodies {
        assert_eq!(verify(&secrets(&["s"]), Some(&signed("s", body)), body), Ok(()));
        let mut changed = body.to_vec();
        changed.push(b'\n');
        assert_eq!(verify(&secrets(&["s"]), Some(&signed("s", body)), &changed), Err(SignatureError::Mismatch));
    }
}

#[test]
fn rule_002_githubs_published_example_is_accepted_and_one_flipped_digit_is_not() {
    let verify = |digits: &str| verify(&secrets(&[SECRET]), Some(&format!("sha256={digits}")), BODY);
    assert_eq!(verify(DIGITS), Ok(()));
    for place in 0..64 {
        let mut flipped = DIGITS.to_owned();
        let other = if &flipped[place..=place] == "0" { "1" } else { "0" };
        flipped.replace_range(place..=place, other);
        assert_eq!(verify(&flipped), Err(SignatureError::Mismatch), "digit {place}");
    }
}

#[test]
fn rule_003_an_unsigned_delivery_is_refused() {
    assert_eq!(verify(&secrets(&[SECRET]), None, BODY), Err(SignatureError::Missing));
}

#[test]
fn rule_004_digits_that_are_too_few_too_many_or_none_are_refused_and_upper_case_is_read() {
    let verify = |header: &str| verify(&secrets(&[SECRET]), Some(header), BODY);
    let odd = [
        "",
        &DIGITS[..62],
        &DIGITS[..63],
        &format!("{DIGITS}00"),
        &DIGITS.replace('7', "g"),
        &DIGITS.replace('7', "é"),
    ];
    for digits in odd {
        assert_eq!(verify(&format!("sha256={digits}")), Err(SignatureError::Malformed), "{digits}");
    }
    assert_eq!(verify(&format!("sha256= {DIGITS}")), Err(SignatureError::Malformed));
    assert_eq!(verify(&format!("sha256={}", DIGITS.to_uppercase())), Ok(()));
}

#[test]
fn rule_005_the_right_digits_behind_another_prefix_are_refused() {
    for prefix in ["sha512=", "xxxxxxx", "SHA256=", "sha1=", ""] {
        let header = format!("{prefix}{DIGITS}");
        assert_eq!(verify(&secrets(&[SECRET]), Some(&header), BODY), Err(SignatureError::Malformed), "{prefix}");
    }
}

#[test]
fn rule_006_without_a_secret_nothing_is_accepted() {
    assert_eq!(verify(&[], Some(&signed("", BODY)), BODY), Err(SignatureError::Mismatch));
    assert_eq!(verify(&secrets(&[""]), Some(&signed("", BODY)), BODY), Err(SignatureError::Mismatch));
}

#[test]
fn rule_007_any_of_several_secrets_is_accepted_and_no_other() {
    let configured = secrets(&["new", "old"]);
    assert_eq!(verify(&configured, Some(&signed("new", BODY)), BODY), Ok(()));
    assert_eq!(verify(&configured, Some(&signed("old", BODY)), BODY), Ok(()));
    assert_eq!(verify(&configured, Some(&signed("older", BODY)), BODY), Err(SignatureError::Mismatch));
}
