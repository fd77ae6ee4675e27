//! The signature's header, whatever is in it: what is accepted is the body's real HMAC. The input is the secret, a line
//! end, the header, a line end, the body.

#![no_main]

use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use windlass_webhook::fuzzing;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let [secret, header] = [(); 2].map(|()| String::from_utf8_lossy(parts.next().unwrap_or_default()));
    let body = parts.next().unwrap_or_default();
    let secrets = ["another, and not this one", &*secret];
    let accepts = |header: &str| fuzzing::is_signed(&secrets, Some(header), body);

    let real = sign(&secret, body);
    let is_real = header.strip_prefix("sha256=").is_some_and(|digits| digits.eq_ignore_ascii_case(&real));
    assert_eq!(accepts(&header), is_real && !secret.is_empty());

    // From here on with the real one, which no input would ever guess.
    assert_eq!(accepts(&format!("sha256={real}")), !secret.is_empty());
    assert!(!fuzzing::is_signed(&secrets, None, body));
    let place = header.len() % real.len();
    let other = if &real[place..=place] == "0" { "1" } else { "0" };
    let (before, after) = (&real[..place], &real[place + 1..]);
    assert!(!accepts(&format!("sha256={before}{other}{after}")));
    assert!(!accepts(&format!("sha256={before}{after}")));
    assert!(!accepts(&format!("sha256={real}{other}")));
});

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
