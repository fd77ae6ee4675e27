//! A connection's bytes, whatever is in them: in whatever pieces they come, the same of them passes, and what passes is
//! read by another parser in the same way. The first byte says how large the pieces are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_listen::fuzzing::{Passed, read_requests};

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = read_requests(std::iter::once(bytes));
    let pieces = read_requests(bytes.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, pieces);
    let (Passed::Good(good) | Passed::Refused(good, _)) = whole else { return };
    if good == 0 {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(&bytes[..good]).expect("what passes is a request to others too");
    assert!(parsed.is_complete());
    let lengths = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case("content-length")).count();
    let codings = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case("transfer-encoding")).count();
    assert!(lengths + codings <= 1, "two lengths");
});
