//! GitHub's cache as BuildKit speaks to it: the cache service's second version, and the blobs behind its signed
//! addresses. (tonistiigi/go-actions-cache, `api.md` and `cache_v2.go`; Azure's "Put Blob", "Put Block", "Put Block List"
//! and "Get Blob".)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use windlass_images::{CacheMode, CacheProtocol, GitHubCache};

/// What only whoever has a signed address knows.
pub(crate) const SIGNATURE: &str = "a-signature-of-an-address";

/// A cache that runs for as long as the value lives.
pub(crate) struct GitHubService {
    url: String,
    kept: Arc<Mutex<Kept>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    url: String,
    token: String,
    /// By key, once they are complete.
    entries: BTreeMap<String, Vec<u8>>,
    /// By key, the blocks of what is being sent.
    blocks: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    uploaded: BTreeMap<String, Vec<u8>>,
    /// Whether blobs are taken.
    full: bool,
}

type Shared = State<Arc<Mutex<Kept>>>;

impl GitHubService {
    /// Starts one that containers on the engine's bridge reach at this address of the machine.
    pub(crate) async fn start(address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let url = format!("http://{address}:{}/", listener.local_addr().unwrap().port());
        let kept = Kept { url: url.clone(), token: token(), ..Kept::default() };
        let kept = Arc::new(Mutex::new(kept));
        let router = Router::new()
            .route("/twirp/github.actions.results.api.v1.CacheService/{method}", post(call))
            .route("/blobs/{key}", get(download).put(upload))
            .layer(DefaultBodyLimit::disable())
            .with_state(kept.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, kept, serving }
    }

    pub(crate) fn cache(&self) -> GitHubCache {
        let token = self.kept.lock().unwrap().token.clone().into();
        GitHubCache { url: self.url.clone(), protocol: CacheProtocol::V2, token, mode: CacheMode::ReadAndWrite }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.kept.lock().unwrap().entries.keys().cloned().collect()
    }

    /// From now on it has no room.
    pub(crate) fn fill(&self) {
        self.kept.lock().unwrap().full = true;
    }
}

impl Drop for GitHubService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A token as a job has it, with nobody's signature: only its claims are looked at.
fn token() -> String {
    // {"alg":"HS256"}.{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","nbf":1,"exp":4102444800}
    "eyJhbGciOiJIUzI1NiJ9.eyJhYyI6Ilt7XCJTY29wZVwiOlwicmVmcy9oZWFkcy9tYWluXCIsXCJQZXJtaXNzaW9uXCI6M31dIiwibmJmIjoxL\
     CJleHAiOjQxMDI0NDQ4MDB9.bm9ib2R5"
        .to_owned()
}

async fn call(
    State(kept): Shared,
    Path(method): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let mut kept = kept.lock().unwrap();
    let expected = format!("Bearer {}", kept.token);
    if headers.get(header::AUTHORIZATION).is_none_or(|given| given != expected.as_str()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let key = asked["key"].as_str().unwrap().to_owned();
    let blob = |key: &str| format!("{}blobs/{}?sig={SIGNATURE}", kept.url, key.replace('/', "%2F").replace('#', "%23"));
    Ok(Json(match method.as_str() {
        "CreateCacheEntry" => json!({ "ok": true, "signed_upload_url": blob(&key) }),
        "FinalizeCacheEntryUpload" => {
            let content = kept.uploaded.remove(&key).ok_or(StatusCode::NOT_FOUND)?;
            assert_eq!(asked["size_bytes"], content.len());
            kept.entries.insert(key, content);
            json!({ "ok": true, "entry_id": "1" })
        }
        "GetCacheEntryDownloadURL" => {
            let asked = asked["restore_keys"].as_array().unwrap();
            let mut found = asked
                .iter()
                .filter_map(|start| kept.entries.keys().rev().find(|key| key.starts_with(start.as_str().unwrap())));
            match found.next() {
                Some(key) => json!({ "ok": true, "signed_download_url": blob(key), "matched_key": key }),
                None => json!({ "ok": false }),
            }
        }
        _ => return Err(StatusCode::NOT_FOUND),
    }))
}

async fn upload(
    State(kept): Shared,
    Path(key): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    content: Bytes,
) -> Response {
    let mut kept = kept.lock().unwrap();
    if kept.full || query.get("sig").is_none_or(|given| given != SIGNATURE) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match query.get("comp").map(String::as_str) {
        None => drop(kept.uploaded.insert(key, content.to_vec())),
        Some("block") => {
            kept.blocks.entry(key).or_default().insert(query["blockid"].clone(), content.to_vec());
        }
        Some(_) => {
            let blocks = kept.blocks.remove(&key).unwrap_or_default();
            let list = String::from_utf8_lossy(&content).into_owned();
            let ids = list.split("<Latest>").skip(1).map(|rest| rest.split('<').next().unwrap());
            let whole = ids.flat_map(|id| blocks[id].clone()).collect();
            kept.uploaded.insert(key, whole);
        }
    }
    (StatusCode::CREATED, [("x-ms-request-id", "1")]).into_response()
}

async fn download(State(kept): Shared, Path(key): Path<String>, headers: HeaderMap) -> Response {
    let kept = kept.lock().unwrap();
    let Some(content) = kept.entries.get(&key) else { return StatusCode::NOT_FOUND.into_response() };
    let range = headers.get("x-ms-range").or_else(|| headers.get(header::RANGE));
    let start = range.and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
    (StatusCode::PARTIAL_CONTENT, content[start.unwrap_or(0)..].to_vec()).into_response()
}
