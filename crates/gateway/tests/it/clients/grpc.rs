//! gRPC's own client and server, with the gateway between them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use futures_util::{StreamExt, stream};
use hyper::body::Incoming;
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::codec::Streaming;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use windlass_core::gateway::{AppProtocol, ServiceSpec, Target};

use crate::harness::{Front, HOST, spec};

/// What a generated service would do.
struct Does<F>(F);

impl<F, M, R, A> tower_service::Service<Request<M>> for Does<F>
where
    F: FnMut(Request<M>) -> A,
    A: Future<Output = Result<Response<R>, Status>>,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> A {
        (self.0)(request)
    }
}

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

/// Says what it hears: once, three times, as often as it hears something, or that it does not.
async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<tonic::body::Body>, Infallible> {
    let mut grpc = tonic::server::Grpc::new(codec());
    Ok(match request.uri().path() {
        "/test.Echo/Once" => {
            let once = Does(|heard: Request<String>| async move { Ok(Response::new(heard.into_inner())) });
            grpc.unary(once, request).await
        }
        "/test.Echo/Thrice" => {
            let thrice = Does(|heard: Request<String>| async move {
                let heard = heard.into_inner();
                Ok(Response::new(stream::iter((0..3).map(move |_| Ok(heard.clone())))))
            });
            grpc.server_streaming(thrice, request).await
        }
        "/test.Echo/Each" => {
            let each = Does(|heard: Request<Streaming<String>>| async move { Ok(Response::new(heard.into_inner())) });
            grpc.streaming(each, request).await
        }
        _ => {
            let never = Does(|_: Request<String>| async move {
                Err::<Response<String>, _>(Status::failed_precondition("not today"))
            });
            grpc.unary(never, request).await
        }
    })
}

async fn server() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serving = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { serving.serve_connection(TokioIo::new(stream), service_fn(answer)).await });
        }
    });
    (address, AbortOnDropHandle::new(server))
}

#[tokio::test]
async fn grpc_calls_of_each_kind_pass_with_their_status() {
    let (address, _server) = server().await;
    let front = Front::start().await;
    let mut service = ServiceSpec { protocol: AppProtocol::H2c, ..spec(1, &[]) };
    service.targets = vec![Target { name: "grpc".to_owned(), address }];
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", front.http())).unwrap();
    let channel = endpoint.origin(format!("http://{HOST}").parse().unwrap()).connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    let hello = || Request::new("hello".to_owned());
    let at = PathAndQuery::from_static;

    client.ready().await.unwrap();
    let once: Response<String> = client.unary(hello(), at("/test.Echo/Once"), codec()).await.unwrap();
    assert_eq!(once.into_inner(), "hello");

    client.ready().await.unwrap();
    let thrice = client.server_streaming(hello(), at("/test.Echo/Thrice"), codec()).await.unwrap().into_inner();
    let thrice: Vec<String> = thrice.map(Result::unwrap).collect().await;
    assert_eq!(thrice, ["hello"; 3]);

    client.ready().await.unwrap();
    let (say, said) = tokio::sync::mpsc::unbounded_channel::<String>();
    let said = stream::unfold(said, |mut said| async move { said.recv().await.map(|text| (text, said)) });
    say.send("first".to_owned()).unwrap();
    let each = client.streaming(Request::new(said), at("/test.Echo/Each"), codec()).await.unwrap();
    let mut each = each.into_inner();
    assert_eq!(each.message().await.unwrap().as_deref(), Some("first"));
    say.send("second".to_owned()).unwrap();
    assert_eq!(each.message().await.unwrap().as_deref(), Some("second"), "both sides speak at the same time");
    drop(say);
    assert_eq!(each.message().await.unwrap(), None);

    client.ready().await.unwrap();
    let never = client.unary::<String, String, _>(hello(), at("/test.Echo/Never"), codec()).await.unwrap_err();
    assert_eq!((never.code(), never.message()), (Code::FailedPrecondition, "not today"));
}
