//! What the gateway says itself where it ends TLS: to authorities, to clients that come in the clear, and to browsers.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};

use crate::body::{RequestBody, ResponseBody};
use crate::client::Client;
use crate::pages::say;
use crate::service::Service;
use crate::tls;

/// An authority's question, if it is one that the service waits for. Others are the app's own.
pub(crate) fn challenge(client: &Client, request: &Request<RequestBody>) -> Option<Response<ResponseBody>> {
    let tls = client.shared.tls.as_ref().filter(|_| !client.secure && tls::is_challenge(request.uri().path()))?;
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let answer = tls.challenge(host, request.uri().path())?;
    let mut response = Response::new(ResponseBody::Made(Some(Bytes::from(answer))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(response)
}

/// Sends away who came in the clear for a name that is https: but no authority, nobody who asks for the app's health, and
/// nobody who came to a proxy of ours by TLS.
pub(crate) fn to_https(
    client: &Client,
    request: &Request<RequestBody>,
    service: &Arc<Service>,
    host: &str,
    path: &str,
) -> Option<Response<ResponseBody>> {
    let tls = client.shared.tls.as_ref().filter(|_| !client.secure)?;
    let exempt = tls::is_challenge(path) || service.spec.probe.path.as_deref() == Some(path);
    if exempt || client.peer.said_secure(request.headers()) {
        return None;
    }
    let mut response = say(StatusCode::PERMANENT_REDIRECT, "This app is asked by https.\n");
    response.headers_mut().insert(header::LOCATION, tls.there(host, request.uri())?);
    Some(response)
}

/// Not where it came in the clear: browsers do not listen to that then.
pub(crate) fn tell_to_stay_secure(client: &Client, service: &Service, headers: &mut HeaderMap) {
    let Some(time) = service.spec.hsts.filter(|_| client.secure) else { return };
    if let Some((name, value)) = tls::hsts(time)
        && !headers.contains_key(&name)
    {
        headers.insert(name, value);
    }
}
