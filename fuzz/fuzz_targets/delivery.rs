//! A delivery that is signed, whatever is in it: read or refused, and the same as JSON and as a form. The input's first
//! line is the event's name, the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use url::form_urlencoded::Serializer;
use windlass_webhook::fuzzing;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let event = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();

    let of_json = fuzzing::read_delivery(&event, body);
    if let Ok(text) = std::str::from_utf8(body) {
        let form = Serializer::new(String::new()).append_pair("payload", text).finish();
        assert_eq!(fuzzing::read_form(&event, form.as_bytes()), of_json);
    }
    // As a form it is a strange one.
    let _ = fuzzing::read_form(&event, body);
});
