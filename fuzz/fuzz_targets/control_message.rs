//! What the gateway is told over its control socket: the path, a line end, the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_gateway::fuzzing;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let _ = fuzzing::understand(&path, parts.next().unwrap_or_default());
});
