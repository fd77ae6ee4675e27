//! A service that says what a test wants it to, over real HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Answers until the test ends.
pub(super) struct Service {
    address: std::net::SocketAddr,
}

/// What a client sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Service {
    /// `answer` gives a whole HTTP response; the connection is closed after it.
    pub(super) fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let request = read(&connection);
                // A client that has gone away has nothing to complain about.
                let _ = connection.write_all(answer(&request).as_bytes());
            }
        });
        Self { address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An address where nothing listens any more.
    pub(super) fn gone() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }
}

fn read(connection: &TcpStream) -> Request {
    let mut reader = BufReader::new(connection);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()))
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Request { method, path, headers, body: String::from_utf8(body).unwrap() }
}

pub(super) fn json(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Messages with their ids, and then the end of the stream.
pub(super) fn events(messages: &[(u64, serde_json::Value)]) -> String {
    let messages: String = messages.iter().map(|(id, data)| format!("id: {id}\nevent: x\ndata: {data}\n\n")).collect();
    format!("HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: alive\n\n{messages}")
}

/// One task of two serves, the other has just been created.
pub(super) const STAGE: &str = r#"{
    "project": "acme/shop", "stage": "production",
    "apps": { "default": {
        "active": 12, "active_commit": "3f786850e387550fdab836ed7e6dc881de23001b", "latest": 13, "desired_tasks": 2,
        "urls": ["https://shop.example.com"],
        "tasks": [
            { "id": "0123456789ab", "name": "shop-web-12-1", "app": "default", "role": "web", "kind": "service",
              "release": 12, "host": "a", "last_status": "RUNNING", "health": "HEALTHY",
              "started_at": "2026-01-31T12:00:00Z" },
            { "id": "ba9876543210", "name": "shop-web-12-2", "app": "default", "role": "web", "kind": "service",
              "release": 12, "host": "a", "last_status": "PENDING", "health": "UNKNOWN" }
        ]
    } }
}"#;
