//! A stand-in for BuildKit's image, where the real one cannot be had. Its `buildctl dial-stdio` leads into the test, which
//! speaks BuildKit's protocol: it asks back for all that a build may ask for, hands over an image, and keeps what it was
//! told. It keeps no caches.

use std::fs;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bollard::grpc::build::moby::buildkit::secrets::v1::GetSecretRequest;
use bollard::grpc::build::moby::buildkit::secrets::v1::secrets_client::SecretsClient;
use bollard::grpc::build::moby::buildkit::v1 as api;
use bollard::grpc::build::moby::buildkit::v1::control_server::{Control, ControlServer};
use bollard::grpc::build::moby::filesync::v1 as filesync;
use bollard::grpc::build::moby::filesync::v1::auth_client::AuthClient;
use bollard::grpc::build::moby::filesync::v1::file_send_client::FileSendClient;
use bollard::grpc::build::moby::upload::v1 as upload;
use bollard::grpc::build::moby::upload::v1::upload_client::UploadClient;
use bytes::Bytes;
use futures_util::future::{BoxFuture, pending, ready};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt, iter};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::bench::Bench;

/// Into the test, by the container's way out.
const BUILDCTL: &str = r#"#!/bin/bash
[[ $* == dial-stdio ]] || exit 1
while read -r _ destination way _; do
    [[ $destination == 00000000 ]] && host=$((0x${way:6:2})).$((0x${way:4:2})).$((0x${way:2:2})).$((0x${way:0:2}))
done </proc/net/route
exec 4<>"/dev/tcp/$host/PORT"
cat <&4 &
cat >&4
"#;

const BUILDKITD: &str = "#!/bin/bash\necho running >&2\nexec sleep infinity\n";

/// What it does when it is to build.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Asks for everything, and hands over this image, as `docker save` has it.
    Image(Vec<u8>),
    /// Never ends.
    Nothing,
    /// Cannot make use of a cache.
    Refusal(&'static str),
}

/// What it was told, and what its questions were answered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    pub(crate) orders: Vec<api::SolveRequest>,
    pub(crate) context: Vec<u8>,
    pub(crate) secret: Vec<u8>,
    pub(crate) username: String,
    pub(crate) password: String,
}

pub(crate) struct StandIn {
    /// Of its image.
    pub(crate) image: String,
    /// One message for each build that begins.
    pub(crate) builds: mpsc::UnboundedReceiver<()>,
    told: Arc<Mutex<Told>>,
    serving: tokio::task::JoinHandle<()>,
}

impl StandIn {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let bench = Bench::open().await;
        bench.add_tools();
        let tools = bench.context().join("tools/bin");
        fs::copy(tools.join("bash"), tools.join("sh")).unwrap();
        for (name, text) in [("buildctl", BUILDCTL.replace("PORT", &port)), ("buildkitd", BUILDKITD.to_owned())] {
            bench.write(&format!("tools/bin/{name}"), text);
            bench.make_executable(&format!("tools/bin/{name}"));
        }
        bench.write("Dockerfile", "FROM scratch\nENV PATH=/bin\nCOPY tools /\n");
        let mut request = bench.request();
        // Longer than the bench's own name, so that it outlives the bench.
        request.name = format!("windlass-stand-in-{}:1", uuid::Uuid::new_v4());
        bench.build(&request).await.0.unwrap();

        let told = Arc::new(Mutex::new(Told::default()));
        let (tell, builds) = mpsc::unbounded_channel();
        let buildkit = BuildKit { answer, told: told.clone(), tell, session: Arc::default() };
        let routes = Routes::new(ControlServer::new(buildkit));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
                tokio::spawn(connection);
            }
        });
        Self { image: request.name, builds, told, serving }
    }

    pub(crate) fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }

    /// The containers of it that the engine has, whatever they do.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("ancestor={}", self.image);
        let ids = windlass_testing::docker_client::docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        ids.lines().map(str::to_owned).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
        Command::new("docker").args(["image", "rm", "--force", &self.image]).output().ok();
    }
}

#[derive(Clone)]
struct BuildKit {
    answer: Answer,
    told: Arc<Mutex<Told>>,
    tell: mpsc::UnboundedSender<()>,
    session: Arc<Mutex<Option<OpenSession>>>,
}

#[derive(Clone)]
struct OpenSession {
    id: String,
    /// What may be asked.
    methods: Vec<String>,
    channel: Channel,
}

impl BuildKit {
    /// Asks back, as a build does that needs everything.
    async fn ask(&self, order: &api::SolveRequest, image: Vec<u8>) -> Result<(), Status> {
        let OpenSession { id, methods, channel } =
            self.session.lock().unwrap().clone().expect("the session is opened first");
        assert_eq!(order.session, id);
        let mut pull = Request::new(iter([]));
        let path = order.frontend_attrs["context"].strip_prefix("http://buildkit-session").unwrap().parse().unwrap();
        pull.metadata_mut().insert("urlpath", path);
        let context = UploadClient::new(channel.clone()).pull(pull).await?.into_inner();
        let context: Vec<upload::BytesMessage> = context.try_collect().await?;
        let secret = GetSecretRequest { id: "npm".to_owned(), annotations: Default::default() };
        let secret = SecretsClient::new(channel.clone()).get_secret(secret).await?.into_inner();
        let host = filesync::CredentialsRequest { host: "ghcr.io".to_owned() };
        let login = AuthClient::new(channel.clone()).credentials(host).await?.into_inner();
        *self.told.lock().unwrap() = Told {
            orders: Vec::new(),
            context: context.into_iter().flat_map(|message| message.data).collect(),
            secret: secret.data,
            username: login.username,
            password: login.secret,
        };
        assert!(methods.iter().any(|method| method == "/moby.filesync.v1.FileSend/DiffCopy"), "{methods:?}");
        let pieces: Vec<_> = image.chunks(1 << 20).map(|data| filesync::BytesMessage { data: data.to_vec() }).collect();
        let mut ended = FileSendClient::new(channel).diff_copy(iter(pieces)).await?.into_inner();
        assert_eq!(ended.message().await?, None);
        Ok(())
    }
}

#[async_trait]
impl Control for BuildKit {
    type PruneStream = BoxStream<'static, Result<api::UsageRecord, Status>>;
    type StatusStream = BoxStream<'static, Result<api::StatusResponse, Status>>;
    type SessionStream = BoxStream<'static, Result<api::BytesMessage, Status>>;
    type ListenBuildHistoryStream = BoxStream<'static, Result<api::BuildHistoryEvent, Status>>;

    async fn info(&self, _: Request<api::InfoRequest>) -> Result<Response<api::InfoResponse>, Status> {
        Ok(Response::new(api::InfoResponse::default()))
    }

    async fn status(&self, _: Request<api::StatusRequest>) -> Result<Response<Self::StatusStream>, Status> {
        Ok(Response::new(iter([]).boxed()))
    }

    async fn solve(&self, request: Request<api::SolveRequest>) -> Result<Response<api::SolveResponse>, Status> {
        let order = request.into_inner();
        self.tell.send(()).unwrap();
        match self.answer.clone() {
            Answer::Image(image) => self.ask(&order, image).await?,
            Answer::Nothing => pending().await,
            Answer::Refusal(words) => return Err(Status::unknown(words)),
        }
        self.told.lock().unwrap().orders.push(order);
        Ok(Response::new(api::SolveResponse::default()))
    }

    async fn session(
        &self,
        request: Request<Streaming<api::BytesMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let header = |name: &str| -> Vec<String> {
            let values = request.metadata().get_all(name).iter();
            values.map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        let id = header("x-docker-expose-session-uuid").remove(0);
        let methods = header("x-docker-expose-session-grpc-method");
        let incoming = request.into_inner().map_ok(|message| Bytes::from(message.data)).map_err(io::Error::other);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let outgoing = ReaderStream::new(theirs).map_ok(|piece| api::BytesMessage { data: piece.to_vec() });
        let way = Box::pin(tokio::io::join(StreamReader::new(incoming), ours));
        let channel = Endpoint::from_static("http://client").connect_with_connector_lazy(Way(Some(way)));
        *self.session.lock().unwrap() = Some(OpenSession { id, methods, channel });
        Ok(Response::new(outgoing.map_err(|error| Status::internal(error.to_string())).boxed()))
    }

    async fn disk_usage(&self, _: Request<api::DiskUsageRequest>) -> Result<Response<api::DiskUsageResponse>, Status> {
        Err(Status::unimplemented("nobody needs it"))
    }

    async fn prune(&self, _: Request<api::PruneRequest>) -> Result<Response<Self::PruneStream>, Status> {
        Err(Status::unimplemented("nobody needs it"))
    }

    async fn list_workers(
        &self,
        _: Request<api::ListWorkersRequest>,
    ) -> Result<Response<api::ListWorkersResponse>, Status> {
        Err(Status::unimplemented("nobody needs it"))
    }

    async fn listen_build_history(
        &self,
        _: Request<api::BuildHistoryRequest>,
    ) -> Result<Response<Self::ListenBuildHistoryStream>, Status> {
        Err(Status::unimplemented("nobody needs it"))
    }

    async fn update_build_history(
        &self,
        _: Request<api::UpdateBuildHistoryRequest>,
    ) -> Result<Response<api::UpdateBuildHistoryResponse>, Status> {
        Err(Status::unimplemented("nobody needs it"))
    }
}

trait TwoWay: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> TwoWay for T {}

/// The one way back through a session.
struct Way(Option<std::pin::Pin<Box<dyn TwoWay>>>);

impl Service<Uri> for Way {
    type Response = TokioIo<std::pin::Pin<Box<dyn TwoWay>>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let way = self.0.take().map(TokioIo::new).ok_or_else(|| io::Error::other("the session is gone"));
        Box::pin(ready(way))
    }
}
