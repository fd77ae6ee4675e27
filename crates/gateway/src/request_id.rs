//! A request's name, by which people find it again: in the app's log, in ours, and on our own pages.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST: usize = 128;
/// Two digits a byte: who can guess one can ask people for a log that is another's.
const DIGITS: usize = 32;

/// What the client or a proxy calls it, if that is a name; otherwise one of ours. The request bears this one and no other
/// afterwards.
pub(crate) fn settle(headers: &mut HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(REQUEST_ID).iter();
    if let (Some(id), None) = (given.next(), given.next())
        && is_well_formed(id.as_bytes())
    {
        return id.clone();
    }
    let id = fresh();
    headers.insert(REQUEST_ID, id.clone());
    id
}

/// In logs and on pages it needs no quotes.
fn is_well_formed(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:/+=@-".contains(byte))
}

/// One allocation, which its copies share.
fn fresh() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; DIGITS];
    for (digits, byte) in text.chunks_exact_mut(2).zip(rand::random::<u128>().to_be_bytes()) {
        digits[0] = HEX[usize::from(byte >> 4)];
        digits[1] = HEX[usize::from(byte & 15)];
    }
    // Digits make a header.
    HeaderValue::from_maybe_shared(Bytes::from_owner(text)).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(given: &[&'static str]) -> (HeaderValue, HeaderMap) {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(REQUEST_ID, HeaderValue::from_static(id));
        }
        let id = settle(&mut headers);
        (id, headers)
    }

    #[test]
    fn a_well_formed_id_is_kept() {
        let long: &'static str = "x".repeat(LONGEST).leak();
        for given in ["a", "req_7.f:/+=@-Z", "550e8400-e29b-41d4-a716-446655440000", long] {
            let (id, headers) = settled(&[given]);
            assert_eq!(id, given);
            assert_eq!(headers.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
        }
    }

    #[test]
    fn whatever_is_no_name_is_replaced_by_one_that_is_not_guessed() {
        let too_long: &'static str = "x".repeat(LONGEST + 1).leak();
        for given in [&[][..], &[""], &["a b"], &["<b>"], &["\"a\""], &["a", "b"], &[too_long]] {
            let (id, headers) = settled(given);
            assert!(id.len() == DIGITS && id.as_bytes().iter().all(u8::is_ascii_hexdigit), "{given:?}: {id:?}");
            assert_eq!(headers.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
            assert_ne!(settled(given).0, id);
        }
    }
}
