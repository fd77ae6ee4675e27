//! HTTP connections that can be ended: politely, when each has answered what it was asked, or at once.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Before another connection is taken after one could not be.
const AFTER_A_FAILURE: Duration = Duration::from_millis(10);

/// Where connections come from.
pub(crate) trait Accept: Send {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        let (stream, _) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Serves until `politely` is cancelled, and on until every request under way is answered. Whoever drops it cuts every
/// connection. A service's error cuts its connection without an answer.
pub(crate) async fn serve<S>(listener: impl Accept, service: S, politely: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = politely.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            stream = listener.accept() => stream,
        };
        match stream {
            Ok(stream) => {
                connections.spawn(converse(stream, service.clone(), politely.clone()));
            }
            Err(_) => tokio::time::sleep(AFTER_A_FAILURE).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse<S>(stream: impl AsyncRead + AsyncWrite + Unpin + Send, service: S, politely: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<Body>> + Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // What goes wrong on a connection is its client's to notice.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = politely.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
