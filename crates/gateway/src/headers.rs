//! What a proxy takes out of a message and what it adds (RFC 9110, section 7.6).

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri, Version};
use windlass_listen::Arriving;

use crate::body::RequestBody;
use crate::forwarded::{self, Peer};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A client's request, made ready for a target.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) request: Request<RequestBody>,
    /// The client's side of the tunnel, if it asked for one.
    pub(crate) upgrade: Option<OnUpgrade>,
}

/// A request that cannot be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// HTTP/1.1 asks for exactly one.
    NoHost,
    /// We are no forward proxy.
    Connect,
    /// A transfer coding that is not ours to undo (RFC 9112, section 6.1).
    Coding,
}

/// Reads what concerns us and leaves what concerns the target.
pub(crate) fn arrive(request: Request<Arriving<Incoming>>, peer: &Peer) -> Result<Arrival, Malformed> {
    let (mut parts, body) = request.into_parts();
    if parts.method == hyper::Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if !is_framed_plainly(&parts.headers) {
        return Err(Malformed::Coding);
    }
    if let Some(authority) = parts.uri.authority() {
        // The request's target wins over the Host header when both are there (RFC 9112, section 3.2.2).
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| Malformed::NoHost)?;
        parts.headers.insert(header::HOST, host);
        parts.uri = parts.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    }
    // Two of them, and we and the target might believe different ones (RFC 9112, section 3.2).
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().cloned();
    if hosts.next().is_some() || (parts.version == Version::HTTP_11 && host.is_none()) {
        return Err(Malformed::NoHost);
    }

    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let wanted =
        says(&parts.headers, &header::CONNECTION, b"upgrade") && !says(&parts.headers, &header::UPGRADE, b"h2c");
    let protocol = upgrade.as_ref().filter(|_| wanted).and_then(|_| parts.headers.get(header::UPGRADE).cloned());
    let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
    remove_hop_by_hop(&mut parts.headers);
    // We have answered it by reading the body.
    parts.headers.remove(header::EXPECT);

    let body = RequestBody::from(body);
    if chunked && matches!(body, RequestBody::Streaming(_)) {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let upgrade = protocol.and_then(|protocol| {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, protocol);
        upgrade
    });
    forwarded::receive(&mut parts.headers, host, peer);
    parts.version = Version::HTTP_11;
    Ok(Arrival { request: Request::from_parts(parts, body), upgrade })
}

/// Whether the body's transfer coding is `chunked` or none: the only ones that can be taken off and put on.
pub(crate) fn is_framed_plainly(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.map(|value| value.as_bytes().trim_ascii()).all(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// Whether it is sent for as long as somebody listens.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().trim_ascii_start());
    kind.and_then(|kind| kind.get(..EVENTS.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// Whether a header's list has this word.
fn says(headers: &HeaderMap, name: &HeaderName, word: &[u8]) -> bool {
    let words = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.map(<[u8]>::trim_ascii).any(|found| found.eq_ignore_ascii_case(word))
}

/// Makes a target's answer ready for the client. Says how long the target promises to keep the connection, if it does.
pub(crate) fn leave(response: &mut Response<Incoming>) -> Option<Duration> {
    let promised = response.headers().get(KEEP_ALIVE).and_then(keep_alive_timeout);
    if response.headers().contains_key(header::TRANSFER_ENCODING) {
        // The chunks say where it ends, and the other length is not its (RFC 9112, section 6.3).
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    promised
}

/// An app's word before its answer, as the client gets it. `None`: it is between the app and us, as a `100` is, which the
/// client has from us (RFC 9110, section 15.2).
pub(crate) fn early(status: StatusCode, headers: &HeaderMap) -> Option<Vec<u8>> {
    if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
        return None;
    }
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

/// The same for the answer that opens a tunnel: what it says about the upgrade is for the client.
pub(crate) fn leave_upgraded(response: &mut Response<Incoming>) {
    let protocol = response.headers_mut().remove(header::UPGRADE);
    leave(response);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        response.headers_mut().insert(header::UPGRADE, protocol);
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.eq_ignore_ascii_case(b"close") && !name.eq_ignore_ascii_case(b"keep-alive"))
            // Not the connection's to take away, whatever it says: they frame and route the message.
            .filter(|name| !name.eq_ignore_ascii_case(b"host") && !name.eq_ignore_ascii_case(b"content-length"))
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            // A client cannot have taken away what a proxy says of it.
            .filter(|name| !forwarded::is_claim(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(header::TE);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
}

/// `timeout=5` of `Keep-Alive: timeout=5, max=100`.
fn keep_alive_timeout(value: &HeaderValue) -> Option<Duration> {
    let parameter = value.to_str().ok()?.split(',').find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
    parameter.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_the_connection_names_does_not_travel_on() {
        let mut given = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive ,host"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-secret", "1"),
            ("host", "shop.test"),
            ("x-other", "2"),
        ] {
            given.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut given);
        assert_eq!(given, headers(&[("host", "shop.test"), ("x-other", "2")]));
    }

    #[test]
    fn a_target_says_how_long_it_keeps_connections() {
        let parsed = |value| keep_alive_timeout(&HeaderValue::from_static(value));
        assert_eq!(parsed("timeout=5"), Some(Duration::from_secs(5)));
        assert_eq!(parsed("max=100, timeout=2"), Some(Duration::from_secs(2)));
        assert_eq!(parsed("max=100"), None);
        assert_eq!(parsed("timeout=soon"), None);
    }
}
