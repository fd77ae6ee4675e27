//! One request's way: find its service, take a target, send it there, hand back what comes.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::time::Instant;
use windlass_core::gateway::AppProtocol;
use windlass_listen::{Arriving, Early};

use crate::body::{BodyError, RequestBody, ResponseBody, Upstream};
use crate::client::Client;
use crate::forwarded;
use crate::headers::{self, Arrival, Malformed};
use crate::health;
use crate::hold::{Place, TimeOver};
use crate::insist::{challenge, tell_to_stay_secure, to_https};
use crate::maintenance;
use crate::options::RequestLimits;
use crate::pages::say;
use crate::passage::Passage;
use crate::path::{self, Reading};
use crate::patience::{NoAnswer, answer_in_time};
use crate::pool::{self, Connection, Repeat};
use crate::router::Way;
use crate::seen::Watched;
use crate::service::{NoTarget, Service};
use crate::serving::Shared;
use crate::target::{InFlight, Target, TargetId};
use crate::tunnel::{self, Asked};

const TOO_LARGE: &str = "The request's body is larger than it may be here.\n";

/// How sending to one target went.
enum Sent {
    Answered {
        response: Response<Incoming>,
        connection: Connection,
    },
    /// Not a byte of the request has left: somebody else may have it.
    Unreachable {
        request: Request<RequestBody>,
        why: String,
    },
    /// The target may have seen it, and no answer will come.
    Lost(hyper::Error),
    /// The target has it, and no answer has come.
    Silent,
    /// Its body is larger than it may be.
    TooLarge,
}

/// Never fails: what goes wrong is an answer too.
pub(crate) async fn forward(
    client: Arc<Client>,
    mut request: Request<Arriving<Incoming>>,
) -> Result<Response<Watched>, Infallible> {
    client.asks();
    let Shared { seen, trusted, .. } = &*client.shared;
    let mut passage = Passage::begin(&mut request, seen.as_ref(), &client.peer, trusted);
    let early = request.extensions_mut().remove::<Early>();
    let answer = match headers::arrive(request, &client) {
        Ok(arrival) => route(&client, arrival, early.as_ref(), &mut passage).await,
        Err(Malformed::NoHost) => say(StatusCode::BAD_REQUEST, "The request does not name exactly one host.\n"),
        Err(Malformed::Target) => say(StatusCode::BAD_REQUEST, "The request's target is not one.\n"),
        Err(Malformed::Coding) => {
            say(StatusCode::NOT_IMPLEMENTED, "The gateway knows no transfer coding but `chunked`.\n")
        }
        Err(Malformed::Body) => say(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
        Err(Malformed::Connect) => say(StatusCode::METHOD_NOT_ALLOWED, "This is not a forward proxy.\n"),
    };
    if let Some(early) = early {
        early.sent().await;
    }
    Ok(passage.end(answer))
}

async fn route(
    client: &Client,
    arrival: Arrival,
    early: Option<&Early>,
    passage: &mut Passage,
) -> Response<ResponseBody> {
    let Arrival { mut request, mut tunnel } = arrival;
    let Ok(Reading { plain, generous }) = path::read(request.uri().path()) else {
        return say(StatusCode::BAD_REQUEST, "The request's path has a NUL in it.\n");
    };
    if let Cow::Owned(plain) = plain
        && let Err(error) = put_path(&mut request, &plain)
    {
        tracing::debug!(%error, "a path has no plain spelling");
        return say(StatusCode::BAD_REQUEST, "The request's path is not one.\n");
    }
    if let Some(answer) = challenge(client, &request) {
        return answer;
    }
    let limits = client.shared.requests;
    let until = limits.whole.map(|whole| Instant::now() + whole);
    // The path that was asked for, where the app gets another.
    let mut asked: Option<String> = None;
    let mut tried: Vec<TargetId> = Vec::new();
    let mut place: Option<Place> = None;
    loop {
        // Service and target come from one load of the table, and nothing has been sent anywhere yet.
        let picked = {
            let table = client.shared.table.load();
            let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let path = asked.as_deref().unwrap_or(request.uri().path());
            let way = table.find(host, path);
            if let Some(generous) = &generous
                && !Way::is_same(way, table.find_generously(host, generous))
            {
                return say(StatusCode::BAD_REQUEST, "The request's path can be read as another app's.\n");
            }
            let Some(way) = way else { return say(StatusCode::NOT_FOUND, "Nothing is deployed at this address.\n") };
            passage.routed(way.rule());
            let served = match way {
                Way::Serve(served) => served,
                Way::Redirect(_, to) => return redirect(to, request.uri()),
            };
            let service = Arc::clone(served.service);
            if served.https
                && let Some(there) = to_https(client, &request, &service, host, path)
            {
                return there;
            }
            if let (Some(prefix), None) = (served.strip, &asked) {
                let bare = strip(path, prefix).to_owned();
                asked = Some(path.to_owned());
                forwarded::without_prefix(request.headers_mut(), prefix);
                if let Err(error) = put_path(&mut request, &bare) {
                    tracing::debug!(%error, "a path has no plain spelling without its prefix");
                    return say(StatusCode::BAD_REQUEST, "The request's path is not one.\n");
                }
            }
            if let Some(answer) = maintenance::answer(&service, &request) {
                return answer;
            }
            forwarded::complete(request.headers_mut(), client.how_it_came(&service.spec), client.peer.standing);
            service.pick(&tried).map(|in_flight| (in_flight, Arc::clone(&service))).map_err(|reason| (reason, service))
        };
        match picked {
            Ok((in_flight, service)) => match send(in_flight.target(), &service, request, early, limits, until).await {
                Sent::Answered { response, connection } => {
                    passage.answered_by(in_flight.target());
                    let mut answer = hand_back(client, response, connection, in_flight, tunnel.take(), until, passage);
                    tell_to_stay_secure(client, &service, answer.headers_mut());
                    return answer;
                }
                Sent::Silent => {
                    let target = in_flight.target();
                    tracing::warn!(target.name = target.name, "target gave no answer in time");
                    target.doubt.notify_one();
                    return say(StatusCode::GATEWAY_TIMEOUT, "The app gave no answer in time.\n");
                }
                Sent::TooLarge => return say(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
                Sent::Unreachable { request: unsent, why } => {
                    let target = in_flight.target();
                    tracing::debug!(target.name = target.name, error = why, "target unreachable");
                    target.doubt.notify_one();
                    tried.push(target.id);
                    request = unsent;
                }
                // Its body came to no end: the target has done nothing wrong.
                Sent::Lost(error) if is_of_the_body(&error) => {
                    tracing::debug!(%error, "a client's body broke");
                    return say(StatusCode::BAD_REQUEST, "The request's body is broken.\n");
                }
                Sent::Lost(error) => {
                    let target = in_flight.target();
                    tracing::warn!(target.name = target.name, %error, "target gave no answer");
                    target.doubt.notify_one();
                    return say(StatusCode::BAD_GATEWAY, no_answer(&error));
                }
            },
            Err((NoTarget::Replaced, _)) => {}
            Err((NoTarget::Down, service)) => {
                if let Err(refusal) = wait(&mut place, &service, &tried).await {
                    return *refusal;
                }
                tried.clear();
            }
        }
    }
}

/// What an app sees of a path whose prefix is not its own.
fn strip<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some("") | None => "/",
        Some(rest) => rest,
    }
}

/// HTTP/2 says the host with the target, and what it does not know of an interim answer is not waited for.
fn for_http2(mut request: Request<RequestBody>) -> Request<RequestBody> {
    headers::put_host_into_target(&mut request);
    request.headers_mut().remove(header::EXPECT);
    if let Some(sending) = request.body().sending() {
        sending.want();
    }
    request
}

/// The same request with another path.
fn put_path(request: &mut Request<RequestBody>, path: &str) -> Result<(), InvalidUri> {
    let whole = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    *request.uri_mut() = Uri::try_from(whole)?;
    Ok(())
}

/// Takes a place in the service's hold; the next time, with another look in between, waits in it.
async fn wait(
    place: &mut Option<Place>,
    service: &Service,
    tried: &[TargetId],
) -> Result<(), Box<Response<ResponseBody>>> {
    if let Some(place) = place {
        let over = |TimeOver| say(StatusCode::SERVICE_UNAVAILABLE, "The app did not come up in time.\n").into();
        return place.changed().await.map_err(over);
    }
    *place = service.hold.enter(service.spec.hold);
    match place {
        Some(_) => Ok(()),
        None if tried.is_empty() => Err(say(StatusCode::SERVICE_UNAVAILABLE, "The app is not running.\n").into()),
        None => Err(say(StatusCode::BAD_GATEWAY, "The app refuses connections.\n").into()),
    }
}

async fn send(
    target: &Arc<Target>,
    service: &Service,
    mut request: Request<RequestBody>,
    early: Option<&Early>,
    limits: RequestLimits,
    until: Option<Instant>,
) -> Sent {
    let protocol = service.spec.protocol;
    if protocol == AppProtocol::H2c {
        request = for_http2(request);
    }
    let repeat = repeat(&request);
    let sending = request.body().sending();
    let mut pooled = pool::take(target.id, protocol, repeat);
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            None => match pool::connect(target, protocol).await {
                Ok(connection) => connection,
                Err(error) => return Sent::Unreachable { request, why: health::in_words(&error) },
            },
        };
        // An app may close an idle connection in the very moment in which we use it.
        let spare = (connection.reused && repeat == Repeat::Safe).then(|| copy(&request));
        if early.is_some() || request.headers().contains_key(header::EXPECT) {
            let (early, sending) = (early.cloned(), sending.clone());
            hyper::ext::on_informational(&mut request, move |head| {
                if let (StatusCode::CONTINUE, Some(sending)) = (head.status(), &sending) {
                    sending.want();
                }
                if let (Some(early), Some(head)) = (&early, headers::early(head.status(), head.headers())) {
                    early.send(&head);
                }
            });
        }
        let answer = answer_in_time(connection.sender.send(request), sending.as_deref(), limits.first_byte, until);
        let mut error = match answer.await {
            Ok(Ok(response)) => return Sent::Answered { response, connection },
            Ok(Err(error)) => error,
            Err(NoAnswer) => return Sent::Silent,
        };
        if is_too_large(error.error()) {
            return Sent::TooLarge;
        }
        match (error.take_message(), spare) {
            (Some(unsent), _) if connection.reused => request = unsent,
            (Some(unsent), _) => return Sent::Unreachable { request: unsent, why: error.into_error().to_string() },
            (None, Some(spare)) if is_closed(error.error()) => request = spare,
            (None, _) => return Sent::Lost(error.into_error()),
        }
    }
}

/// Whether it came with the client's body, which the connection to the target only passes on.
fn is_of_the_body(error: &hyper::Error) -> bool {
    error.is_user() && body_error(error).is_some()
}

fn is_too_large(error: &hyper::Error) -> bool {
    matches!(body_error(error), Some(BodyError::TooLarge))
}

fn body_error(error: &hyper::Error) -> Option<&BodyError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

fn no_answer(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "The head of the app's answer is too large.\n"
    } else if error.is_parse() {
        "The app's answer is not HTTP.\n"
    } else {
        "The app closed the connection without an answer.\n"
    }
}

/// RFC 9110, section 9.2.2: what is idempotent may be sent again when the connection closes before the answer.
fn repeat(request: &Request<RequestBody>) -> Repeat {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    let whole = matches!(request.body(), RequestBody::Empty) && !request.headers().contains_key(header::UPGRADE);
    if idempotent && whole { Repeat::Safe } else { Repeat::Unsafe }
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    copy
}

fn is_closed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || source
            .is_some_and(|error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
}

fn hand_back(
    client: &Client,
    mut response: Response<Incoming>,
    mut connection: Connection,
    in_flight: InFlight,
    tunnel: Option<Asked>,
    until: Option<Instant>,
    passage: &mut Passage,
) -> Response<ResponseBody> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(downstream) = tunnel else {
            return say(StatusCode::BAD_GATEWAY, "The app changed the protocol unasked.\n");
        };
        let upstream = hyper::upgrade::on(&mut response);
        match downstream.stay {
            Some(_) => headers::leave_extended(&mut response),
            None => headers::leave_upgraded(&mut response),
        }
        client.listens_on();
        tunnel::open(downstream, upstream, in_flight, passage.tunnel(&response));
        return response.map(|_| ResponseBody::Text(None));
    }
    if !headers::is_framed_plainly(response.headers()) {
        return say(StatusCode::BAD_GATEWAY, "The app's answer has a transfer coding that is not `chunked`.\n");
    }
    if let Some(promised) = headers::leave(&mut response) {
        connection.patience = pool::LONGEST_IDLE.min(promised.saturating_sub(Duration::from_secs(1)));
    }
    if headers::is_event_stream(response.headers()) {
        client.listens_on();
    }
    response.map(|body| ResponseBody::Upstream(Upstream::new(body, connection, in_flight, until)))
}

/// The same path and query at another place, with the same method and body (RFC 9110, section 15.4.9).
fn redirect(to: &str, asked: &Uri) -> Response<ResponseBody> {
    let path = asked.path_and_query().map_or("/", |path| path.as_str());
    match HeaderValue::try_from(format!("{to}{path}")) {
        Ok(there) => {
            let mut response = say(StatusCode::PERMANENT_REDIRECT, "This app has another name.\n");
            response.headers_mut().insert(header::LOCATION, there);
            response
        }
        Err(_) => say(StatusCode::BAD_REQUEST, "The request's path is not one.\n"),
    }
}
