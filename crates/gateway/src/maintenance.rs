//! What clients get while an app is kept from them: `503`, with the words of whoever keeps it so. The path of its health
//! check leads to the app still, for whoever watches over it from outside.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};

use crate::body::{RequestBody, ResponseBody};
use crate::pages::{self, REQUEST_ID_HERE};
use crate::service::Service;

/// When to ask again, in seconds: a deployment of a minute or an evening's work, nobody knows.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("120");
const TITLE: &str = "Down for maintenance";

/// `None`: the request is for the app.
pub(crate) fn answer(service: &Service, request: &Request<RequestBody>) -> Option<Response<ResponseBody>> {
    let maintenance = service.maintenance.as_ref()?;
    let health = service.spec.probe.path.as_deref().map(|path| path.split('?').next().unwrap_or_default());
    if health == Some(request.uri().path()) {
        return None;
    }
    let message = maintenance.message.as_deref().unwrap_or("Please come back in a few minutes.");
    let (kind, text) = if accepts_html(request.headers()) {
        (pages::HTML, page(message))
    } else {
        (pages::PLAIN, format!("{TITLE}. {message}\n"))
    };
    let mut response = Response::new(ResponseBody::Text(Some(Bytes::from(text))));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Some(response)
}

/// Browsers name it; programs take anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let items = headers.get_all(header::ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    items.filter_map(|item| str::from_utf8(item).ok()).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let mut weights = parts.filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_html && weights.all(|weight| weight.parse::<f32>() != Ok(0.0))
    })
}

fn page(message: &str) -> String {
    let message = pages::escaped(message);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{TITLE}</title>\n\
         <style>body {{ font: 1.1em/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 34em; padding: 0 1em; }}\n\
         p {{ white-space: pre-line; }} small {{ color: #767676; }}</style>\n\
         <h1>{TITLE}</h1>\n<p>{message}</p>\n<small>Request {REQUEST_ID_HERE}</small>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_those_who_name_it() {
        for (accept, expected) in [
            (&["text/html,application/xhtml+xml,*/*;q=0.8"][..], true),
            (&["application/json", "Text/HTML; q=0.5"], true),
            (&["*/*"], false),
            (&["text/html;q=0, application/json"], false),
            (&["text/*"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(accepts_html(&headers), expected, "{accept:?}");
        }
    }
}
