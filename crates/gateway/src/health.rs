//! Asking a target for its health: a new one at once and then ever less often, a known one at its interval, and a
//! doubtful one right away.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::{AppProtocol, Probe, ServiceSpec, TargetState};
use windlass_core::plain::{cut, plain};
use windlass_core::proxies::TrustedProxies;

use crate::forwarded::{self, Peer, Scheme};
use crate::headers;
use crate::hold::Hold;
use crate::target::{Answer, Target};

/// Probes a target for as long as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    plan: ProbePlan,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What is asked, and as a request for which host would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbePlan {
    probe: Probe,
    host: String,
    https: bool,
    protocol: AppProtocol,
}

/// The shortest time between two probes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Of where a target redirects to, so much is said.
const LONGEST_LOCATION: usize = 200;

impl ProbePlan {
    /// Apps that look at their host name get to see one that they know.
    pub(crate) fn new(spec: &ServiceSpec) -> Self {
        let served = || spec.routes.iter().filter(|route| route.redirect.is_none());
        let known = served().find(|route| route.is_exact()).or_else(|| served().next());
        let host = known.map_or("localhost", |route| route.host.as_str());
        // Of many names, one.
        let host = match host.strip_prefix("*") {
            Some("") => "localhost".to_owned(),
            Some(below) => format!("health{below}"),
            None => host.to_owned(),
        };
        Self { probe: spec.probe.clone(), host, https: spec.https, protocol: spec.protocol }
    }
}

impl ProbePlan {
    /// The app cannot tell it from a client's, but for the user agent.
    fn request(&self, path: &str, own: IpAddr) -> hyper::http::Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(path)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, concat!("windlass-gateway/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Empty::new())?;
        let peer = Peer::new(own, &TrustedProxies::default());
        let headers = request.headers_mut();
        forwarded::receive(headers, headers.get(header::HOST).cloned(), &peer);
        forwarded::complete(headers, if self.https { Scheme::Assumed } else { Scheme::Http }, peer.standing);
        Ok(request)
    }
}

impl Prober {
    pub(crate) fn start(target: Arc<Target>, hold: Arc<Hold>, plan: ProbePlan) -> Self {
        let task = tokio::spawn(watch(target, hold, plan.clone()));
        Self { plan, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    pub(crate) fn follows(&self, plan: &ProbePlan) -> bool {
        self.plan == *plan
    }
}

async fn watch(target: Arc<Target>, hold: Arc<Hold>, plan: ProbePlan) {
    let mut failures: u32 = 0;
    let mut down_since = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = ask(target.address, &plan).await;
        match &answer {
            Answer::Good(_) => failures = 0,
            Answer::Bad(_) => failures = failures.saturating_add(1),
        }
        target.answered(&answer, failures);
        if failures == 0 {
            down_since = asked;
            hold.wake();
        }
        let pause = match target.state() {
            TargetState::Healthy | TargetState::Draining => plan.probe.interval.0,
            TargetState::Joining | TargetState::Unhealthy => backoff(down_since.elapsed(), plan.probe.interval.0),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = target.doubt.notified() => tokio::time::sleep_until(asked + SHORTEST_PAUSE).await,
        }
    }
}

/// A tenth of the time that it has taken so far: so much is lost at the most when it comes up just after a probe.
fn backoff(elapsed: Duration, interval: Duration) -> Duration {
    (elapsed / 10).max(SHORTEST_PAUSE).min(interval)
}

async fn ask(address: SocketAddr, plan: &ProbePlan) -> Answer {
    let timeout = plan.probe.timeout;
    match tokio::time::timeout(timeout.0, ask_patiently(address, plan)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(words)) => Answer::Bad(words),
        Err(_) => Answer::Bad(format!("no answer within {timeout}")),
    }
}

async fn ask_patiently(address: SocketAddr, plan: &ProbePlan) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| in_words(&error))?;
    let Some(path) = &plan.probe.path else {
        return Ok(Answer::Good("connection accepted".to_owned()));
    };
    let own = stream.local_addr().map_err(|error| in_words(&error))?;
    let request =
        plan.request(path, own.ip()).map_err(|error| format!("the probe's path or host is not one: {error}"))?;
    let response = ask_over(stream, plan.protocol, request).await.map_err(|error| hyper_in_words(&error))?;
    let mut words = format!("HTTP {}", response.status().as_u16());
    if let Some(there) = response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection()) {
        // What follows the path may be anybody's secret, and says nothing about where it leads.
        let there = String::from_utf8_lossy(there.as_bytes());
        let there = plain(there.split(['?', '#']).next().unwrap_or_default());
        words = format!("{words} to {}", cut(&there, LONGEST_LOCATION));
    }
    Ok(if response.status().is_success() { Answer::Good(words) } else { Answer::Bad(words) })
}

async fn ask_over(
    stream: TcpStream,
    protocol: AppProtocol,
    mut request: Request<Empty<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    match protocol {
        AppProtocol::Http1 => {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
            sender.send_request(request).await
        }
        AppProtocol::H2c => {
            headers::put_host_into_target(&mut request);
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
            sender.send_request(request).await
        }
    }
}

/// What a person would say.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connecting timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn hyper_in_words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() {
        return "connection closed without an answer".to_owned();
    }
    if error.is_parse() {
        return "an answer that is not HTTP".to_owned();
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.map_or_else(|| error.to_string(), in_words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_back_off_to_the_interval() {
        let interval = Duration::from_secs(1);
        assert_eq!(backoff(Duration::ZERO, interval), SHORTEST_PAUSE);
        assert_eq!(backoff(Duration::from_millis(400), interval), SHORTEST_PAUSE);
        assert_eq!(backoff(Duration::from_secs(4), interval), Duration::from_millis(400));
        assert_eq!(backoff(Duration::from_secs(60), interval), interval);
        assert_eq!(backoff(Duration::ZERO, Duration::from_millis(10)), Duration::from_millis(10));
    }
}
