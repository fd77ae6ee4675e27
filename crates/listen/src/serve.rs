//! HTTP/1.1 over a connection, and a whole server around it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http_body::Body;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bodies::{Arriving, Leaving};
use crate::connection::Connection;
use crate::door::Door;
use crate::early::Early;
use crate::seats::Seats;

/// Whom a request comes from, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves one connection until it ends, upgrades included. With `shutdown`, the request under way is the last.
///
/// # Errors
///
/// When the connection broke, or the client kept us waiting for too long.
pub async fn serve_client<S, B>(
    connection: Connection,
    peer: SocketAddr,
    service: S,
    shutdown: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Arriving<Incoming>>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (seat, seats) = (connection.seat(), connection.seats());
    let of_service = Arc::clone(&seat);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let seat = Arc::clone(&of_service);
        let number = seat.asked(!request.body().is_end_stream());
        request.extensions_mut().insert(Peer(peer));
        if request.version() == Version::HTTP_11 {
            request.extensions_mut().insert(Early::new(Arc::clone(&seat)));
        }
        let answer = service.call(request.map(|body| Arriving::new(body, Arc::clone(&seat), number)));
        async move {
            let answer = answer.await?;
            let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, S::Error>(answer.map(|body| Leaving::new(body, (!upgraded).then_some(seat))))
        }
    });
    let serving = seats.limits.http1().serve_connection(TokioIo::new(connection), service).with_upgrades();
    let mut serving = pin!(serving);
    let mut sent_away = pin!(poll_fn(|context| {
        if seat.sent_away(&seat.server, context) { Poll::Ready(()) } else { Poll::Pending }
    }));
    tokio::select! {
        biased;
        ended = serving.as_mut() => return ended,
        () = sent_away.as_mut() => return Ok(()),
        () = shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    if seat.has_no_head() {
        return Ok(());
    }
    tokio::select! {
        biased;
        ended = serving => ended,
        () = sent_away => Ok(()),
    }
}

/// Serves all who come until `shutdown`, and returns when the requests under way have ended.
pub async fn serve<S, B>(listener: TcpListener, seats: Arc<Seats>, service: S, shutdown: CancellationToken)
where
    S: tower_service::Service<Request<Arriving<Incoming>>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let door = Door::new(listener, seats);
    let clients = TaskTracker::new();
    loop {
        let (connection, peer) = tokio::select! {
            client = door.next() => client,
            () = shutdown.cancelled() => break,
        };
        let (service, shutdown) = (TowerToHyperService::new(service.clone()), shutdown.clone());
        clients.spawn(async move {
            if let Err(error) = serve_client(connection, peer, service, &shutdown).await {
                tracing::debug!(%error, client.address = %peer, "a client's connection broke");
            }
        });
    }
    drop(door);
    clients.close();
    clients.wait().await;
}
