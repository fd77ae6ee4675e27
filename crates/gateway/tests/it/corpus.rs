//! Requests that two readers could understand differently, and apps' answers of that kind: raw bytes in, and what comes back
//! and what reaches the other side, byte for byte. What is sent stands in `front.rs` and `back.rs`.

mod back;
mod front;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::Target;

use crate::harness::{Front, HOST, spec};

/// What a request is followed by: it reaches the app only where the first one ends where everybody says it does.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: shop.test\r\n\r\n";
/// Tells that everything before it has been seen.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: shop.test\r\n\r\n";

/// Begins a gateway before an app at this address that is not asked for its health.
pub(crate) async fn front_of(address: std::net::SocketAddr) -> Front {
    let front = Front::start().await;
    let mut service = spec(1, &[]);
    service.targets = vec![Target { name: "raw".to_owned(), address }];
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    front
}

/// An app that notes each request as it came, and answers all with `ok`.
pub(crate) struct Noting {
    notes: UnboundedReceiver<Note>,
    pub(crate) address: std::net::SocketAddr,
    _server: AbortOnDropHandle<()>,
}

/// What an app saw.
#[derive(Debug, PartialEq)]
pub(crate) struct Note {
    /// Method, target and body.
    pub(crate) asked: String,
    pub(crate) head: String,
}

impl Noting {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, notes) = unbounded_channel();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(note(stream, tell.clone()));
            }
        });
        Self { notes, address, _server: AbortOnDropHandle::new(server) }
    }

    /// All before the last.
    pub(crate) async fn until_last(&mut self) -> Vec<Note> {
        let mut notes = Vec::new();
        loop {
            let note = self.notes.recv().await.unwrap();
            if note.asked == "GET /last " {
                return notes;
            }
            notes.push(note);
        }
    }
}

/// Reads as simply as an app may, and takes nothing that is not said plainly.
async fn note(stream: TcpStream, tell: UnboundedSender<Note>) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream).await {
        let lines: Vec<&str> = head.split("\r\n").filter(|line| !line.is_empty()).collect();
        let all = |name: &str| -> Vec<String> {
            let values = lines[1..].iter().filter_map(|line| line.split_once(": "));
            values.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
        };
        let start: Vec<&str> = lines[0].split(' ').collect();
        let whole = matches!(start[..], [_, _, "HTTP/1.1"]) && all("host").len() == 1 && !head.contains(['\0', '\t']);
        let body = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
            ([], []) => Some(Vec::new()),
            ([length], []) => read_body(&mut stream, length.parse().unwrap()).await,
            ([], [coding]) if coding == "chunked" => read_chunks(&mut stream).await,
            _ => None,
        };
        let framed = all("content-length").len() + all("transfer-encoding").len() < 2;
        if framed && body.is_none() {
            // It came to no end: that is no request.
            return;
        }
        let asked = match body {
            Some(body) if whole => format!("{} {} {}", start[0], start[1], String::from_utf8_lossy(&body)),
            _ => format!("not understood: {head}"),
        };
        let _ = tell.send(Note { asked, head });
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head.iter().map(|byte| char::from(*byte)).collect())
}

async fn read_body(stream: &mut BufReader<TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok().map(|_| body)
}

async fn read_chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let size = usize::from_str_radix(line.strip_suffix("\r\n")?, 16).ok()?;
        let mut chunk = read_body(stream, size).await?;
        body.append(&mut chunk);
        let mut end = String::new();
        while size == 0 && stream.read_line(&mut end).await.ok()? > 2 {
            body.extend_from_slice(format!("|{}", end.trim_end()).as_bytes());
            end.clear();
        }
        if size == 0 {
            return Some(body);
        }
        stream.read_line(&mut end).await.ok()?;
        (end == "\r\n").then_some(())?;
    }
}

/// A client that writes what it likes.
struct Sending(BufReader<TcpStream>);

impl Sending {
    async fn connect(front: &Front) -> Self {
        Self(BufReader::new(TcpStream::connect(front.http()).await.unwrap()))
    }

    async fn write(&mut self, bytes: &[u8]) {
        // Who is refused early may be hung up on.
        let _ = self.0.get_mut().write_all(bytes).await;
    }

    /// The next answer's status and body. `None`: the connection is closed.
    async fn answer(&mut self) -> Option<(u16, String)> {
        let mut head = read_head(&mut self.0).await?;
        while head.starts_with("HTTP/1.1 100 ") {
            head = read_head(&mut self.0).await?;
        }
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => read_body(&mut self.0, length.parse().unwrap()).await?,
            None => read_chunks(&mut self.0).await?,
        };
        Some((head[9..12].parse().unwrap(), String::from_utf8(body).unwrap()))
    }
}

async fn ask_last(front: &Front) {
    let mut client = Sending::connect(front).await;
    client.write(LAST.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().0, 200);
}

fn asked(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.asked.as_str()).collect()
}

/// All that went otherwise than expected, so that one run shows all.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, sent: &[u8], what: &str, got: &T, expected: &T) {
        if got != expected {
            let shown = String::from_utf8_lossy(&sent[..sent.len().min(200)]);
            self.0.push(format!("{shown:?}\n  {what}: {got:?}, not {expected:?}"));
        }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n"));
    }
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_neither_it_nor_what_is_behind_reaches_an_app() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    let mut wrong = Wrong::default();
    for (status, sent) in front::refused() {
        let mut client = Sending::connect(&front).await;
        client.write(&[&sent, BEHIND.as_bytes()].concat()).await;
        let answers = [client.answer().await, client.answer().await].map(|it| it.map(|(status, _)| status));
        wrong.compare(&sent, "answers", &answers, &[Some(status), None]);
        ask_last(&front).await;
        wrong.compare(&sent, "the app got", &app.until_last().await, &vec![]);
    }
}

#[tokio::test]
async fn what_breaks_behind_good_requests_ends_there_and_they_are_answered() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    let mut wrong = Wrong::default();
    for (sent, statuses, reached) in front::BROKEN_LATER {
        let mut client = Sending::connect(&front).await;
        client.write(&[sent.as_bytes(), BEHIND.as_bytes()].concat()).await;
        let mut answers = Vec::new();
        while let Some((status, _)) = client.answer().await {
            answers.push(status);
        }
        wrong.compare(sent.as_bytes(), "answers", &answers, &statuses.to_vec());
        ask_last(&front).await;
        wrong.compare(sent.as_bytes(), "the app got", &asked(&app.until_last().await), &reached.to_vec());
    }
}

#[tokio::test]
async fn what_everybody_reads_alike_passes_as_it_was_understood() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    let mut wrong = Wrong::default();
    for (sent, reached) in front::PASSED {
        let mut client = Sending::connect(&front).await;
        client.write(&[sent.as_bytes(), LAST.as_bytes()].concat()).await;
        let mut answers = Vec::new();
        for _ in 0..=reached.len() {
            answers.push(client.answer().await.map(|(status, _)| status));
        }
        wrong.compare(sent.as_bytes(), "answers", &answers, &vec![Some(200); reached.len() + 1]);
        wrong.compare(sent.as_bytes(), "the app got", &asked(&app.until_last().await), &reached.to_vec());
    }
}

#[tokio::test]
async fn no_header_takes_away_or_adds_what_frames_and_routes() {
    let mut app = Noting::start().await;
    let front = front_of(app.address).await;
    let mut wrong = Wrong::default();
    for (sent, with, without) in front::HEADERS {
        let mut client = Sending::connect(&front).await;
        let whole = format!("POST /headers HTTP/1.1\r\nHost: {HOST}\r\n{sent}\r\nContent-Length: 5\r\n\r\nhello");
        client.write(whole.as_bytes()).await;
        wrong.compare(sent.as_bytes(), "answer", &client.answer().await.map(|(status, _)| status), &Some(200));
        ask_last(&front).await;
        let notes = app.until_last().await;
        wrong.compare(sent.as_bytes(), "the app got", &asked(&notes), &vec!["POST /headers hello"]);
        let lines: Vec<&str> = notes.iter().flat_map(|note| note.head.split("\r\n")).collect();
        let lacks: Vec<_> = with.iter().filter(|line| !lines.contains(line)).collect();
        let has: Vec<_> = lines.iter().filter(|line| without.iter().any(|name| line.starts_with(name))).collect();
        wrong.compare(sent.as_bytes(), &format!("in {lines:?}"), &(lacks, has), &(vec![], vec![]));
    }
}

/// Answers each request with these bytes, and closes.
async fn app_saying(answer: Vec<u8>) -> (std::net::SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let answer = answer.clone();
            tokio::spawn(async move {
                if read_head(&mut stream).await.is_some() {
                    let _ = stream.write_all(&answer).await;
                }
            });
        }
    });
    (address, AbortOnDropHandle::new(server))
}

#[tokio::test]
async fn what_an_app_says_wrong_is_a_502_that_names_nothing_inside() {
    let mut wrong = Wrong::default();
    for sent in back::refused() {
        let (address, _app) = app_saying(sent.clone()).await;
        let front = front_of(address).await;
        let mut client = Sending::connect(&front).await;
        client.write(LAST.as_bytes()).await;
        let (status, body) = client.answer().await.unwrap_or_default();
        wrong.compare(&sent, &format!("with {body:?}"), &status, &502);
        // One line of words, and the request's id.
        let mut lines = body.lines();
        let is_signed = lines.next_back().is_some_and(|line| line.starts_with("Request "));
        let plain = is_signed && body.is_ascii() && lines.count() == 1 && body.len() < 140;
        let names = ["raw", "127.0.0.1", &address.port().to_string(), "hyper", "secret"];
        wrong.compare(
            &sent,
            &format!("{body:?} is plain"),
            &(plain && !names.iter().any(|it| body.contains(it))),
            &true,
        );
    }
}

#[tokio::test]
async fn what_an_app_says_passes_as_it_was_understood_or_breaks_off() {
    let mut wrong = Wrong::default();
    for (sent, expected) in back::PASSED {
        let (address, _app) = app_saying(sent.as_bytes().to_vec()).await;
        let front = front_of(address).await;
        let mut client = Sending::connect(&front).await;
        client.write(LAST.as_bytes()).await;
        let answer = client.answer().await;
        let answer = answer.as_ref().map(|(status, body)| (*status, body.as_str()));
        wrong.compare(sent.as_bytes(), "the client got", &answer, expected);
        let behind = client.0.get_mut();
        if expected.is_none() {
            wrong.compare(sent.as_bytes(), "open behind it", &behind.read(&mut [0]).await.unwrap_or_default(), &0);
        }
    }
}
