//! What was asked and what was delivered, word for word, for a look at it after the tests: whether GitHub itself would
//! have understood, and would have sent the like. Nothing is kept unless the environment names a folder for it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header;
use serde_json::{Value, json};

use super::events::Event;

/// The folder; it is made if need be.
const FOLDER: &str = "WINDLASS_GITHUB_RECORD";

/// One file of JSON lines for each stand-in, so that none waits for another.
pub(super) struct Recorder(Option<Mutex<File>>);

impl Recorder {
    pub(super) fn from_environment() -> Self {
        Self(std::env::var_os(FOLDER).map(|folder| Mutex::new(open(Path::new(&folder)))))
    }

    /// Keeps a request, and gives it back as it came.
    pub(super) async fn request(&self, request: Request) -> Request {
        if self.0.is_none() {
            return request;
        }
        let (parts, body) = request.into_parts();
        // Whoever hangs up before the end has not asked anything.
        let Ok(body) = to_bytes(body, usize::MAX).await else { return Request::from_parts(parts, Body::empty()) };
        let mut line = json!({
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "query": parts.uri.query().unwrap_or_default(),
            "agent": parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok())
        });
        if !body.is_empty() {
            match serde_json::from_slice::<Value>(&body) {
                Ok(json) => line["body"] = json,
                Err(_) => line["not_json"] = String::from_utf8_lossy(&body).into(),
            }
        }
        self.append(&json!({ "request": line }));
        Request::from_parts(parts, Body::from(body))
    }

    /// Keeps a delivery.
    pub(super) fn delivery(&self, event: &Event) {
        self.append(&json!({ "delivery": { "event": event.name, "payload": event.payload } }));
    }

    fn append(&self, line: &Value) {
        if let Some(file) = &self.0 {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{line}\n").as_bytes()).expect("a record can be written");
        }
    }
}

fn open(folder: &Path) -> File {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let name = format!("{}-{}.jsonl", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    fs::create_dir_all(folder).expect("the folder for records can be made");
    OpenOptions::new().create(true).append(true).open(folder.join(name)).expect("a record can be opened")
}
