//! What a proxy says before its client does: it is understood or refused, and nothing behind it is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_listen::fuzzing::read_introduction;

fuzz_target!(|bytes: &[u8]| {
    let Ok((client, left)) = read_introduction(bytes) else { return };
    let said = &bytes[..bytes.len() - left];
    assert!(said.starts_with(b"PROXY ") || said.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    assert_eq!(read_introduction(said), Ok((client, 0)));
});
