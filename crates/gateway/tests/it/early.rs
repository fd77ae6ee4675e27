//! What an app says before its answer reaches the client before the answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use windlass_core::gateway::Target;

use crate::harness::{Front, HOST, spec};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: close\r\n\r\n";
const PASSED_ON: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// A gateway before an app that reads heads, and writes what it is told to when it is told to.
async fn front_of_app() -> (Front, UnboundedSender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (say, mut said) = unbounded_channel::<String>();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The first bytes of a request: the gateway's look at the port sends none.
            if !matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
                continue;
            }
            while let Some(text) = said.recv().await {
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    });
    let front = Front::start().await;
    let mut service = spec(1, &[]);
    service.targets = vec![Target { name: "raw".to_owned(), address }];
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    (front, say)
}

struct Raw(TcpStream);

impl Raw {
    async fn ask(front: &Front, version: &str, times: usize) -> Self {
        let mut stream = TcpStream::connect(front.http()).await.unwrap();
        let request = format!("GET / HTTP/{version}\r\nhost: {HOST}\r\n\r\n").repeat(times);
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// Everything up to this, which has to come.
    async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(read).unwrap()
    }
}

#[tokio::test]
async fn early_hints_arrive_while_the_answer_is_awaited() {
    let (front, say) = front_of_app().await;
    let mut client = Raw::ask(&front, "1.1", 1).await;
    say.send(HINTS.to_owned()).unwrap();
    assert_eq!(client.until("\r\n\r\n").await, PASSED_ON);
    say.send(HINTS.to_owned()).unwrap();
    assert_eq!(client.until("\r\n\r\n").await, PASSED_ON);
    say.send(ANSWER.to_owned()).unwrap();
    assert!(client.until("done").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn what_comes_in_one_piece_with_the_answer_stands_before_it() {
    let (front, say) = front_of_app().await;
    // A second request waits behind the first, and gets none of it.
    let mut client = Raw::ask(&front, "1.1", 2).await;
    say.send(format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}{ANSWER}")).unwrap();
    let first = client.until("done").await;
    assert!(first.starts_with(&format!("{PASSED_ON}HTTP/1.1 200 OK\r\n")), "{first}");
    say.send(ANSWER.to_owned()).unwrap();
    assert!(client.until("done").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn hints_without_an_answer_stand_before_ours() {
    let (front, say) = front_of_app().await;
    let mut client = Raw::ask(&front, "1.1", 1).await;
    say.send(HINTS.to_owned()).unwrap();
    say.send("no HTTP\r\n\r\n".to_owned()).unwrap();
    let answer = client.until("The app's answer is not HTTP.\n").await;
    assert!(answer.starts_with(&format!("{PASSED_ON}HTTP/1.1 502 ")), "{answer}");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_the_answer_alone() {
    let (front, say) = front_of_app().await;
    let mut client = Raw::ask(&front, "1.0", 1).await;
    say.send(format!("{HINTS}{ANSWER}")).unwrap();
    assert!(client.until("done").await.starts_with("HTTP/1.0 200 OK\r\n"));
}

#[tokio::test]
async fn hints_without_end_are_bounded_and_the_answer_comes() {
    let (front, say) = front_of_app().await;
    let mut client = Raw::ask(&front, "1.1", 1).await;
    // More than all buffers on the way to a client that does not read.
    let many = HINTS.repeat(1_000);
    for _ in 0..200 {
        say.send(many.clone()).unwrap();
    }
    say.send(ANSWER.to_owned()).unwrap();
    let all = client.until("\r\n\r\ndone").await;
    let (hints, answer) = all.split_at(all.find("HTTP/1.1 200 OK").unwrap());
    assert!(hints.len() % PASSED_ON.len() == 0 && hints.replace(PASSED_ON, "").is_empty());
    assert!(answer.ends_with("done"));
}
