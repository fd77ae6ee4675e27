//! An app that answers, takes uploads, sends events and echoes whatever comes over an upgraded connection.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const EVENT_EVERY: Duration = Duration::from_millis(50);

/// Ends with the test.
pub(super) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            clients.spawn(serve(stream));
            while clients.try_join_next().is_some() {}
        }
    });
    address
}

/// Until the client has gone.
async fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let begun = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            if let Some(value) = head[begun..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        match path {
            "/ws" => return echo(stream).await,
            "/events" => return send_events(stream).await,
            "/upload" => answer(&mut stream, &body.len().to_string()).await?,
            _ => answer(&mut stream, "app").await?,
        }
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).await
}

async fn send_events(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await?;
    for number in 0.. {
        stream.write_all(format!("data: {number}\n\n").as_bytes()).await?;
        tokio::time::sleep(EVENT_EVERY).await;
    }
    Ok(())
}

async fn echo(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await?;
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes).await? {
            0 => return Ok(()),
            count => stream.write_all(&bytes[..count]).await?,
        }
    }
}
