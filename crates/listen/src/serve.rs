//! HTTP over a connection, and a whole server around it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bodies::{Arriving, Leaving, Teller, Told};
use crate::connection::Connection;
use crate::door::Door;
use crate::early::Early;
use crate::exchange::{Exchange, Stay};
use crate::head::Fault;
use crate::lent::Home;
use crate::seat::Seat;
use crate::seats::Seats;

/// So long a client that is sent away may take to hear it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whom a request comes from, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves one connection until it ends, upgrades included. With `shutdown`, the requests under way are the last.
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
    S: Service<Request<Arriving<Incoming>>, Response = Response<B>> + Clone,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if connection.speaks_http2() {
        serve_http2(connection, peer, service, shutdown).await
    } else {
        serve_http1(connection, peer, service, shutdown).await
    }
}

async fn serve_http1<S, B>(
    mut connection: Connection,
    peer: SocketAddr,
    service: S,
    shutdown: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Arriving<Incoming>>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (seat, seats) = (connection.seat(), connection.seats());
    let home = Home::default();
    let begins = async |connection: &mut Connection| {
        matches!(shutdown.run_until_cancelled(connection.has_head()).await, Some(Ok(true)))
    };
    // Whoever speaks slowly costs no more than what it has said.
    if !begins(&mut connection).await {
        return Ok(());
    }
    loop {
        let of_service = Arc::clone(&seat);
        let service = service.clone();
        let answering = service_fn(move |mut request: Request<Incoming>| {
            let seat = Arc::clone(&of_service);
            let number = seat.asked(!request.body().is_end_stream());
            let fault = seat.refused(number);
            let answer = fault.is_none().then(|| {
                request.extensions_mut().insert(Peer(peer));
                if request.version() == Version::HTTP_11 {
                    request.extensions_mut().insert(Early::new(Arc::clone(&seat)));
                }
                service.call(request.map(|body| Arriving::new(body, Told::Seat(Arc::clone(&seat), number))))
            });
            async move {
                let answer = match answer {
                    Some(answer) => answer.await?,
                    None => return Ok(refusal(fault, seat)),
                };
                let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
                seat.decide(number, upgraded);
                let teller = if upgraded { Teller::Nobody } else { Teller::Seat(seat) };
                Ok::<_, S::Error>(answer.map(|body| Leaving::new(body, teller)))
            }
        });
        let serving = seats.limits.http1().serve_connection(TokioIo::new(home.lend(connection)), answering);
        let mut serving = Box::pin(serving.with_upgrades());
        tokio::select! {
            biased;
            ended = serving.as_mut() => return ended,
            () = sent_away(&seat) => return Ok(()),
            // Its buffers go, and it stays.
            () = should_rest(&seat) => {}
            () = shutdown.cancelled() => {
                serving.as_mut().graceful_shutdown();
                if seat.has_no_head() {
                    return Ok(());
                }
                return tokio::select! {
                    biased;
                    ended = serving => ended,
                    () = sent_away(&seat) => Ok(()),
                };
            }
        }
        drop(serving);
        let Some(mut resting) = home.take() else { return Ok(()) };
        seat.set_rests(true);
        // Whoever goes, or breaks, while nothing is asked has ended the connection.
        if !begins(&mut resting).await {
            return Ok(());
        }
        seat.set_rests(false);
        connection = resting;
    }
}

/// What a request gets that is none. The connection ends with it.
fn refusal<B>(fault: Option<Fault>, seat: Arc<Seat>) -> Response<Leaving<B>> {
    let fault = fault.unwrap_or(Fault::Malformed);
    let mut response = Response::new(Leaving::text(fault.words(), Teller::Seat(seat)));
    *response.status_mut() = fault.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn serve_http2<S, B>(
    connection: Connection,
    peer: SocketAddr,
    service: S,
    shutdown: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Arriving<Incoming>>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (seat, seats) = (connection.seat(), connection.seats());
    let of_service = Arc::clone(&seat);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let exchange = Exchange::begin(Arc::clone(&of_service), !request.body().is_end_stream());
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(Stay(Arc::clone(&exchange)));
        let answer = service.call(request.map(|body| Arriving::new(body, Told::Exchange(Arc::clone(&exchange)))));
        async move { Ok::<_, S::Error>(answer.await?.map(|body| Leaving::new(body, Teller::Exchange(exchange, 0)))) }
    });
    let mut serving = Box::pin(seats.limits.http2().serve_connection(TokioIo::new(connection), service));
    tokio::select! {
        biased;
        ended = serving.as_mut() => return ended,
        () = sent_away(&seat) => {}
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = serving.as_mut() => return ended,
                () = sent_away(&seat) => {}
            }
        }
    }
    // It is told so, where it still listens.
    serving.as_mut().graceful_shutdown();
    tokio::time::timeout(GOODBYE, serving).await.unwrap_or(Ok(()))
}

async fn should_rest(seat: &Seat) {
    poll_fn(|context| {
        seat.server.register(context.waker());
        if seat.should_rest() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn sent_away(seat: &Seat) {
    poll_fn(|context| if seat.sent_away(&seat.server, context) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Serves all who come until `shutdown`, and returns when the requests under way have ended.
pub async fn serve<S, B>(listener: TcpListener, seats: Arc<Seats>, service: S, shutdown: CancellationToken)
where
    S: tower_service::Service<Request<Arriving<Incoming>>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
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
