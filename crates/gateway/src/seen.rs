//! What is kept of requests for people who watch: a line in the access log and the numbers. Where neither is wanted there
//! is none of this.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri, Version};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::config::AccessLog;

use crate::access_log::{End, Line, RequestLog};
use crate::body::{AnswerError, ResponseBody};
use crate::meters::{Meters, RouteMeter};
use crate::router::Rule;
use crate::service::Service;
use crate::target::Target;

/// In the access log: the status of a request whose client has gone before there was an answer, as nginx has it.
const GONE: u16 = 499;

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) log: Option<Arc<RequestLog>>,
    pub(crate) meters: Option<Arc<Meters>>,
}

impl Seen {
    /// `None`: nobody watches. Fails when the access log is not to be had.
    pub(crate) fn start(
        access_log: Option<AccessLog>,
        metrics: Option<SocketAddr>,
        shutdown: &CancellationToken,
    ) -> io::Result<Option<Arc<Self>>> {
        let log = access_log.map(|config| RequestLog::start(config, shutdown.clone()));
        let seen = Self { log: log.transpose()?, meters: metrics.map(|_| Arc::default()) };
        Ok((seen.log.is_some() || seen.meters.is_some()).then(|| Arc::new(seen)))
    }
}

/// One request's. Handed in when it is dropped: with its answer's last byte, or when the answer has broken.
#[derive(Debug)]
pub(crate) struct Note {
    seen: Arc<Seen>,
    begun: Instant,
    status: Option<StatusCode>,
    first_byte: Option<Duration>,
    bytes: u64,
    whole: bool,
    meter: Option<Arc<RouteMeter>>,
    /// For the log only.
    asked: Option<Asked>,
}

/// A request's own words.
#[derive(Debug)]
struct Asked {
    begun: Timestamp,
    client: IpAddr,
    host: Option<HeaderValue>,
    method: Method,
    uri: Uri,
    protocol: Version,
    request_id: HeaderValue,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    service: Option<Arc<Service>>,
    target: Option<Arc<Target>>,
}

impl Note {
    /// Of a request as it came. `client`: whom it is from; asked only where that is written down.
    pub(crate) fn begin<B>(
        seen: &Arc<Seen>,
        request: &Request<B>,
        request_id: &HeaderValue,
        client: impl FnOnce() -> IpAddr,
    ) -> Box<Self> {
        let header = |name| request.headers().get(name).cloned();
        let asked = seen.log.is_some().then(|| Asked {
            begun: Timestamp::now(),
            client: client(),
            host: header(header::HOST),
            method: request.method().clone(),
            uri: request.uri().clone(),
            protocol: request.version(),
            request_id: request_id.clone(),
            user_agent: header(header::USER_AGENT),
            referer: header(header::REFERER),
            service: None,
            target: None,
        });
        Box::new(Self {
            seen: Arc::clone(seen),
            begun: Instant::now(),
            status: None,
            first_byte: None,
            bytes: 0,
            // There is no body that could break.
            whole: *request.method() == Method::HEAD,
            meter: seen.meters.as_ref().map(|meters| Arc::clone(meters.unrouted())),
            asked,
        })
    }

    /// It is for this route.
    pub(crate) fn routed(&mut self, rule: &Rule) {
        self.meter.clone_from(&rule.meter);
        if let Some(asked) = &mut self.asked {
            asked.service = Some(Arc::clone(&rule.service));
        }
    }

    /// The head of this target's answer is there.
    pub(crate) fn answered_by(&mut self, target: &Arc<Target>) {
        let first_byte = self.begun.elapsed();
        self.first_byte = Some(first_byte);
        if let Some(meter) = &self.meter {
            meter.first_byte(first_byte);
        }
        if let Some(asked) = &mut self.asked {
            asked.target = Some(Arc::clone(target));
        }
    }

    /// This is what the client gets.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        if let Some(meter) = &self.meter {
            meter.answered(Some(status));
        }
    }

    /// So much more of the body has gone.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Nothing more comes.
    pub(crate) fn is_whole(&mut self) {
        self.whole = true;
    }

    fn write(&self, log: &RequestLog, asked: &Asked) {
        let end = match (self.status, self.whole) {
            (None, _) => End::Unanswered,
            (Some(_), true) => End::Whole,
            (Some(_), false) => End::Broken,
        };
        let authority = asked.uri.authority().map(|authority| authority.as_str().as_bytes());
        let spec = asked.service.as_ref().map(|service| &service.spec);
        log.write(&Line {
            begun: asked.begun,
            client: asked.client,
            host: authority.or(asked.host.as_ref().map(HeaderValue::as_bytes)).unwrap_or_default(),
            method: &asked.method,
            path: asked.uri.path_and_query().map_or("", |path| path.as_str()),
            protocol: asked.protocol,
            status: self.status.map_or(GONE, |status| status.as_u16()),
            end,
            bytes: self.bytes,
            duration: self.begun.elapsed(),
            first_byte: self.first_byte,
            service: spec.map(|spec| spec.key.0.as_str()),
            release: spec.map(|spec| spec.release.0),
            target: asked.target.as_ref().map(|target| target.name.as_str()),
            request_id: &asked.request_id,
            user_agent: asked.user_agent.as_ref(),
            referer: asked.referer.as_ref(),
        });
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.sent(self.bytes);
            if self.status.is_none() {
                meter.answered(None);
            }
        }
        if let (Some(log), Some(asked)) = (&self.seen.log, &self.asked) {
            self.write(log, asked);
        }
    }
}

/// An answer's body with the note of its request.
#[derive(Debug)]
pub(crate) struct Watched {
    body: ResponseBody,
    note: Option<Box<Note>>,
}

impl Watched {
    pub(crate) fn new(body: ResponseBody, note: Option<Box<Note>>) -> Self {
        Self { body, note }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let Self { body, note } = self.get_mut();
        let frame = ready!(Pin::new(body).poll_frame(context));
        if let Some(note) = note {
            match &frame {
                None => note.is_whole(),
                Some(Ok(frame)) => note.sent(frame.data_ref().map_or(0, |data| data.len() as u64)),
                Some(Err(_)) => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(note) = self.note.as_mut().filter(|_| self.body.is_end_stream()) {
            note.is_whole();
        }
    }
}
