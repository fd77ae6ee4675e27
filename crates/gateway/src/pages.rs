//! The gateway's own answers, for people who come across them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use crate::body::ResponseBody;

pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// In a page it stands for the request's id.
pub(crate) const REQUEST_ID_HERE: &str = "{request-id}";

/// Our own words.
pub(crate) fn say(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Text(Some(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
    response
}

/// Puts the app's own page in the place of our words, where it has one.
pub(crate) fn dress(answer: &mut Response<ResponseBody>, pages: &BTreeMap<u16, Bytes>) {
    let page = pages.get(&answer.status().as_u16());
    if let (ResponseBody::Text(Some(text)), Some(page)) = (answer.body_mut(), page) {
        *text = page.clone();
        answer.headers_mut().insert(header::CONTENT_TYPE, HTML);
    }
}

/// Puts the request's id into our own words, so that whoever asks about them can be answered: into a page where that says,
/// below a plain text.
pub(crate) fn sign(answer: &mut Response<ResponseBody>, id: &HeaderValue) {
    let is_html = answer.headers().get(header::CONTENT_TYPE) == Some(&HTML);
    if let ResponseBody::Text(Some(text)) = answer.body_mut() {
        let (text_before, id) = (&*text, id.to_str().unwrap_or_default());
        *text = if is_html { put(text_before, id) } else { below(text_before, id) };
    }
}

fn put(page: &Bytes, id: &str) -> Bytes {
    match str::from_utf8(page) {
        Ok(page) if page.contains(REQUEST_ID_HERE) => Bytes::from(page.replace(REQUEST_ID_HERE, id)),
        _ => page.clone(),
    }
}

fn below(text: &Bytes, id: &str) -> Bytes {
    let mut signed = Vec::with_capacity(text.len() + id.len() + 16);
    for part in [text, "Request ".as_bytes(), id.as_bytes(), b"\n"] {
        signed.extend_from_slice(part);
    }
    Bytes::from(signed)
}

/// As text within a page.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'', '{']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Nor does it stand for anything of ours.
            '{' => escaped.push_str("&#123;"),
            char => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}
