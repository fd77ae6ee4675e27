//! The engine itself.

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::State;

const API_VERSION: &str = "1.41";
const VERSION: &str = "20.10.24";

pub(super) async fn ping() -> impl IntoResponse {
    ([("api-version", API_VERSION), ("ostype", "linux")], "OK")
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": "1.12",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.1.0",
    }))
}

pub(super) async fn info(shared: State) -> Json<Value> {
    Json(shared.look(|model| {
        json!({
            "ID": model.id,
            "Name": model.name,
            "ServerVersion": VERSION,
            "Containers": model.containers.len(),
            "ContainersRunning": model.containers.values().filter(|container| container.is_running()).count(),
            "Images": model.images.len(),
            "LoggingDriver": "json-file",
            "NCPU": 2,
            "MemTotal": 4_000_000_000_u64,
            "OperatingSystem": "Debian GNU/Linux",
            "OSType": "linux",
            "Architecture": "x86_64",
        })
    }))
}
