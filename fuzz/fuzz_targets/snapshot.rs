//! What the gateway remembers, however it was damaged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_gateway::fuzzing;

fuzz_target!(|text: &[u8]| {
    let _ = fuzzing::read_snapshot(text);
});
