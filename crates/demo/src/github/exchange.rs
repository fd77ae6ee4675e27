//! One request and its answer, as every endpoint sees them: pages, errors, links.

use std::collections::HashMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::json::with;
use super::model::Model;

const DOCUMENTATION: &str = "https://docs.github.com/rest";
const PAGE: usize = 30;
const LARGEST_PAGE: usize = 100;

/// What was asked.
pub(super) struct Call {
    /// What the route's one parameter caught: an id, a branch, a range.
    pub(super) rest: String,
    /// The path below the repository, as it was written.
    path: String,
    query: HashMap<String, String>,
    pub(super) body: Value,
}

/// What a list's page has, and where the others are.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) total: usize,
    link: Option<String>,
}

impl Call {
    pub(super) fn new(rest: &str, uri: &Uri, body: &[u8]) -> Result<Self, Refusal> {
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))?
        };
        let query = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Problems parsing the query"))?;
        Ok(Self { rest: rest.to_owned(), path: uri.path().to_owned(), query: query.0, body })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Whether a list's filter of this name lets a value through; one that was not given lets all through.
    pub(super) fn lets_through(&self, filter: &str, value: &str) -> bool {
        self.parameter(filter).is_none_or(|wanted| wanted == value)
    }

    pub(super) fn page<T>(&self, all: Vec<T>, repository: u64, model: &Model) -> Page<T> {
        let number =
            |name, default| self.parameter(name).and_then(|it| it.parse().ok()).filter(|it| *it > 0).unwrap_or(default);
        let size = number("per_page", PAGE).min(LARGEST_PAGE);
        let (page, total) = (number("page", 1), all.len());
        let last = total.div_ceil(size).max(1);
        let mut query: Vec<String> = self
            .query
            .iter()
            .filter(|(name, _)| *name != "page")
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        query.sort();
        // GitHub's own links name the repository by its id, whatever the request did.
        let to = |relation: &str, page: usize| {
            let query = [query.clone(), vec![format!("page={page}")]].concat().join("&");
            format!("<{}/repositories/{repository}{}?{query}>; rel=\"{relation}\"", model.api, self.path)
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(to("prev", page - 1));
        }
        if page < last {
            links.push(to("next", page + 1));
            links.push(to("last", last));
        }
        if page > 1 {
            links.push(to("first", 1));
        }
        let items = all.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
        Page { items, total, link: (!links.is_empty()).then(|| links.join(", ")) }
    }
}

impl Call {
    /// A list whose pages have no numbers: each begins where the link of the one before it says.
    pub(super) fn page_by_cursor<T>(&self, all: Vec<T>, id: impl Fn(&T) -> u64, model: &Model) -> Page<T> {
        let size = self.parameter("per_page").and_then(|it| it.parse().ok()).unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
        let from = self.parameter("cursor").and_then(|cursor| cursor.strip_prefix("v1_")?.parse::<u64>().ok());
        let begin = from.and_then(|from| all.iter().position(|it| id(it) == from)).unwrap_or(0);
        let next = all.get(begin + size).map(|it| {
            let filter =
                self.parameter("status").map(|status| format!("&status={}", encode(status))).unwrap_or_default();
            let query = format!("per_page={size}{filter}&cursor=v1_{}", id(it));
            format!("<{}{}?{query}>; rel=\"next\"", model.api, self.path)
        });
        let total = all.len();
        Page { items: all.into_iter().skip(begin).take(size).collect(), total, link: next }
    }
}

/// A query's value, with what would not stay itself there escaped.
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What is answered.
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
    link: Option<String>,
}

impl Answer {
    pub(super) const fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, link: None }
    }

    pub(super) const fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub(super) fn list<T>(page: Page<T>, json: impl Fn(T) -> Value) -> Self {
        Self { status: StatusCode::OK, link: page.link, body: page.items.into_iter().map(json).collect() }
    }

    /// A list that comes in an object, with its whole length.
    pub(super) fn counted<T>(page: Page<T>, name: &str, json: impl Fn(T) -> Value) -> Self {
        let total = page.total;
        let list = Self::list(page, json);
        Self { body: json!({ "total_count": total, name: list.body }), ..list }
    }

    /// An object of which one member is this page.
    pub(super) fn around<T>(page: Page<T>, json: impl FnOnce(Vec<T>) -> Value) -> Self {
        Self { status: StatusCode::OK, link: page.link, body: json(page.items) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(link) = self.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            headers.insert(header::LINK, link);
        }
        response
    }
}

/// Why something is not answered, in GitHub's own shape.
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    errors: Vec<Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new() }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// A field that is not as it must be.
    pub(super) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Self {
        let error = json!({ "resource": resource, "field": field, "code": code, "message": message });
        Self::unprocessable("Validation Failed").because(error)
    }

    pub(super) fn because(mut self, error: Value) -> Self {
        self.errors.push(error);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": DOCUMENTATION,
            "status": self.status.as_str()
        });
        if !self.errors.is_empty() {
            body = with(body, json!({ "errors": self.errors }));
        }
        Answer::new(self.status, body).into_response()
    }
}
