//! What goes with a request through the gateway beside itself: its id, and what is noted of it.

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use windlass_core::proxies::TrustedProxies;

use crate::body::ResponseBody;
use crate::forwarded::{self, Peer};
use crate::pages;
use crate::request_id::{self, REQUEST_ID};
use crate::router::Rule;
use crate::seen::{Note, Seen, Watched};
use crate::service::Service;
use crate::target::Target;

/// One request's.
#[derive(Debug)]
pub(crate) struct Passage {
    id: HeaderValue,
    note: Option<Box<Note>>,
    /// Whose pages are shown where the answer is our own; `None`: nobody's.
    pages: Option<Arc<Service>>,
}

impl Passage {
    /// Of a request as it came, which bears its id from now on.
    pub(crate) fn begin<B>(
        request: &mut Request<B>,
        seen: Option<&Arc<Seen>>,
        peer: &Peer,
        proxies: &TrustedProxies,
    ) -> Self {
        let id = request_id::settle(request.headers_mut());
        let note = seen.map(|seen| {
            let from = || forwarded::client(request.headers(), peer, proxies);
            Note::begin(seen, request, &id, from)
        });
        Self { id, note, pages: None }
    }

    /// It is for this route.
    pub(crate) fn routed(&mut self, rule: &Rule) {
        if let Some(note) = &mut self.note {
            note.routed(rule);
        }
        self.pages = Some(&rule.service).filter(|service| !service.pages.is_empty()).cloned();
    }

    /// The head of this target's answer is there.
    pub(crate) fn answered_by(&mut self, target: &Arc<Target>) {
        if let Some(note) = &mut self.note {
            note.answered_by(target);
        }
    }

    /// The answer opens a tunnel, and the note is of that from now on.
    pub(crate) fn tunnel<B>(&mut self, answer: &Response<B>) -> Option<Box<Note>> {
        let mut note = self.note.take();
        if let Some(note) = &mut note {
            note.answered(answer.status());
        }
        note
    }

    /// The answer as the client gets it.
    pub(crate) fn end(self, mut answer: Response<ResponseBody>) -> Response<Watched> {
        let Self { id, mut note, pages } = self;
        if let Some(service) = pages {
            pages::dress(&mut answer, &service.pages);
        }
        pages::sign(&mut answer, &id);
        bear(answer.headers_mut(), id);
        if let Some(note) = &mut note {
            note.answered(answer.status());
        }
        answer.map(|body| Watched::new(body, note))
    }
}

/// Where the app says another one itself, that is the one.
fn bear(headers: &mut HeaderMap, id: HeaderValue) {
    headers.entry(REQUEST_ID).or_insert(id);
}
