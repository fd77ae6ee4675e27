//! What a proxy takes out of a message and what it adds (RFC 9110, section 7.6).

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::body::{Body, Incoming};
use hyper::ext::Protocol;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use windlass_listen::{Arriving, Stay, is_host};

use crate::body::RequestBody;
use crate::client::Client;
use crate::forwarded;
use crate::request_id::REQUEST_ID;
use crate::tunnel::Asked;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A client's request, made ready for a target.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) request: Request<RequestBody>,
    /// The client's side of the tunnel, if it asked for one.
    pub(crate) tunnel: Option<Asked>,
}

/// A request that cannot be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// HTTP/1.1 asks for exactly one.
    NoHost,
    /// Neither a path nor an address of the web, or `*` where it means nothing.
    Target,
    /// We are no forward proxy.
    Connect,
    /// A transfer coding that is not ours to undo (RFC 9112, section 6.1).
    Coding,
    /// The body is larger than one may be.
    Body,
}

/// Reads what concerns us and leaves what concerns the target.
pub(crate) fn arrive(request: Request<Arriving<Incoming>>, client: &Client) -> Result<Arrival, Malformed> {
    let (mut parts, body) = request.into_parts();
    let stay = parts.extensions.remove::<Stay>();
    let extended = parts.method == Method::CONNECT;
    if extended {
        extended_connect(&mut parts)?;
    }
    let most = client.shared.requests.body;
    if let (Some(most), Some(length)) = (most, body.size_hint().exact())
        && length > most
    {
        return Err(Malformed::Body);
    }
    if !is_framed_plainly(&parts.headers) {
        return Err(Malformed::Coding);
    }
    // HTTP/1.1's are known to be good by now.
    let is_of_web = matches!(parts.uri.scheme_str(), None | Some("http" | "https"));
    if !is_of_web || (parts.uri.path() == "*" && parts.method != Method::OPTIONS) {
        return Err(Malformed::Target);
    }
    if let Some(authority) = parts.uri.authority() {
        // The request's target wins over the Host header when both are there (RFC 9112, section 3.2.2).
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::NoHost)?;
        let differs = |said: &HeaderValue| !said.as_bytes().eq_ignore_ascii_case(host.as_bytes());
        if parts.version == Version::HTTP_2 && parts.headers.get_all(header::HOST).iter().any(differs) {
            return Err(Malformed::NoHost);
        }
        parts.headers.insert(header::HOST, host);
        parts.uri = parts.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    }
    // Two of them, and we and the target might believe different ones (RFC 9112, section 3.2).
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().cloned();
    let is_wrong = host.as_ref().map_or(parts.version != Version::HTTP_10, |host| !is_host(host.as_bytes()));
    if hosts.next().is_some() || is_wrong {
        return Err(Malformed::NoHost);
    }

    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let wanted =
        says(&parts.headers, &header::CONNECTION, b"upgrade") && !says(&parts.headers, &header::UPGRADE, b"h2c");
    let protocol = upgrade.as_ref().filter(|_| wanted).and_then(|_| parts.headers.get(header::UPGRADE).cloned());
    let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING) || parts.version == Version::HTTP_2;
    // Over HTTP/2 it stands alone (RFC 9110, section 10.1.4; RFC 9113, section 8.2.2).
    let takes_trailers = says(&parts.headers, &header::TE, b"trailers")
        && (parts.version == Version::HTTP_2 || says(&parts.headers, &header::CONNECTION, b"te"));
    remove_hop_by_hop(&mut parts.headers);
    if takes_trailers {
        parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    join_cookies(&mut parts.headers);
    let expects = says(&parts.headers, &header::EXPECT, b"100-continue");

    // What comes behind an extended CONNECT is not a body, though it comes as one.
    let body = if extended { RequestBody::Empty } else { RequestBody::new(body, most, expects) };
    match body {
        RequestBody::Streaming(_) if chunked && !parts.headers.contains_key(header::CONTENT_LENGTH) => {
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        RequestBody::Streaming(_) => {}
        RequestBody::Empty => drop(parts.headers.remove(header::EXPECT)),
    }
    let upgrade = protocol.and_then(|protocol| {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, protocol);
        upgrade
    });
    forwarded::receive(&mut parts.headers, host, &client.peer);
    parts.version = Version::HTTP_11;
    let tunnel = upgrade.map(|upgrade| Asked { upgrade, stay: stay.filter(|_| extended) });
    Ok(Arrival { request: Request::from_parts(parts, body), tunnel })
}

/// A WebSocket over HTTP/2 (RFC 8441), put as HTTP/1.1 has it, which is what apps know.
fn extended_connect(parts: &mut Parts) -> Result<(), Malformed> {
    let protocol = parts.extensions.remove::<Protocol>().ok_or(Malformed::Connect)?;
    let protocol = HeaderValue::from_str(protocol.as_str()).map_err(|_| Malformed::Connect)?;
    parts.method = Method::GET;
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, protocol);
    let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let key = HeaderValue::try_from(key).map_err(|_| Malformed::Connect)?;
    parts.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(())
}

/// A request as HTTP/2 has it: the host is part of the target, and nothing is said of the connection.
pub(crate) fn put_host_into_target<B>(request: &mut Request<B>) {
    let host = request.headers_mut().remove(header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(uri) = Uri::builder().scheme("http").authority(host).path_and_query(path).build() {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    for name in [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE] {
        request.headers_mut().remove(name);
    }
}

/// HTTP/2 may send each by itself; HTTP/1.1 has one line of them (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(b"; ".as_slice()))
    {
        headers.insert(header::COOKIE, joined);
    }
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

/// The same where the client asked over HTTP/2: there is nothing to be said about the upgrade, and its answer is a plain
/// yes (RFC 8441, section 5).
pub(crate) fn leave_extended(response: &mut Response<Incoming>) {
    leave(response);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
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
            .filter(|name| !forwarded::is_claim(name) && name != REQUEST_ID)
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

/// Has an HTTP/1 client open another connection for its next request.
pub(crate) fn make_last<B>(response: &mut Response<B>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
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
