//! What BuildKit asks back while it builds: the context, secrets and logins. All of it is answered out of memory and
//! only to that BuildKit, on the one connection that was opened for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::grpc::BuildRef;
use bollard::grpc::build::health::health_check_response::ServingStatus;
use bollard::grpc::build::health::health_server::{Health, HealthServer};
use bollard::grpc::build::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard::grpc::build::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::grpc::build::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::grpc::build::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::grpc::build::moby::filesync::v1::file_send_server::FileSendServer;
use bollard::grpc::build::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use bollard::grpc::build::moby::upload::v1::BytesMessage;
use bollard::grpc::build::moby::upload::v1::upload_server::{Upload, UploadServer};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, iter};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use secrecy::{ExposeSecret, SecretString};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming, async_trait};
use windlass_registry::RegistryCredentials;

use super::connection::Connection;
use super::load::Loader;

/// The methods that BuildKit may call. It looks a method up here before it calls it.
const METHODS: [&str; 3] = [
    "/moby.upload.v1.Upload/Pull",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
];

/// The one by which it hands over what it has built.
const HAND_OVER: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// The longest message that BuildKit sends, in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// How much of the context is in one message, in bytes.
const CHUNK: usize = 64 * 1024;

/// The host under which BuildKit asks for Docker Hub's login.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// What there is to answer with.
pub(super) struct Answers {
    pub(super) context: Bytes,
    pub(super) secrets: BTreeMap<String, SecretString>,
    pub(super) credentials: BTreeMap<String, RegistryCredentials>,
}

/// A session that is to be opened under its name, with its methods. It answers for as long as [`Session::serve`] is
/// polled.
pub(super) struct Session {
    id: String,
    answers: Arc<Answers>,
    loader: Option<Loader>,
}

impl Session {
    /// `loader` takes what is built, where BuildKit is to hand it over.
    pub(super) fn new(answers: Arc<Answers>, loader: Option<Loader>) -> Self {
        Self { id: String::from(BuildRef::random()), answers, loader }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn methods(&self) -> Vec<&'static str> {
        METHODS.into_iter().chain(self.loader.as_ref().map(|_| HAND_OVER)).collect()
    }

    /// Where BuildKit finds the context: an address that means "ask the session". It must be one that no other build
    /// has, for BuildKit takes the same address for the same content.
    pub(super) fn context(&self) -> String {
        format!("http://buildkit-session/{}", self.id)
    }

    /// Answers until BuildKit hangs up.
    pub(super) async fn serve(self, connection: Connection) -> Result<(), hyper::Error> {
        let asked = Asked { answers: self.answers, context: format!("/{}", self.id) };
        let mut routes = Routes::new(HealthServer::new(asked.clone()))
            .add_service(UploadServer::new(asked.clone()))
            .add_service(SecretsServer::new(asked.clone()))
            .add_service(AuthServer::new(asked));
        if let Some(loader) = self.loader {
            routes = routes.add_service(FileSendServer::new(loader).max_decoding_message_size(LONGEST_MESSAGE));
        }
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(connection), TowerToHyperService::new(routes))
            .await
    }
}

#[derive(Clone)]
struct Asked {
    answers: Arc<Answers>,
    /// The path of the context's address.
    context: String,
}

#[async_trait]
impl Upload for Asked {
    type PullStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn pull(&self, request: Request<Streaming<BytesMessage>>) -> Result<Response<Self::PullStream>, Status> {
        let path = request.metadata().get("urlpath").and_then(|path| path.to_str().ok());
        if path != Some(&self.context) {
            return Err(Status::not_found("there is only the context"));
        }
        let context = self.answers.context.clone();
        let chunks = (0..context.len()).step_by(CHUNK).map(move |start| {
            let end = context.len().min(start + CHUNK);
            Ok(BytesMessage { data: context[start..end].to_vec() })
        });
        Ok(Response::new(iter(chunks).boxed()))
    }
}

#[async_trait]
impl Secrets for Asked {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        // BuildKit takes this code for "there is none", which only steps mind that need it.
        let secret =
            self.answers.secrets.get(&request.get_ref().id).ok_or_else(|| Status::not_found("no such secret"))?;
        Ok(Response::new(GetSecretResponse { data: secret.expose_secret().as_bytes().to_vec() }))
    }
}

/// Logins only: BuildKit fetches tokens itself where nobody offers to do it.
#[async_trait]
impl Auth for Asked {
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let host = match request.get_ref().host.as_str() {
            DOCKER_HUB => "docker.io",
            host => host,
        };
        // No login is an empty one.
        let login = self.answers.credentials.get(host).map(|login| CredentialsResponse {
            username: login.username.clone(),
            secret: login.password.expose_secret().to_owned(),
        });
        Ok(Response::new(login.unwrap_or_default()))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(not_offered())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }
}

/// BuildKit ends a session that does not say that it is well.
#[async_trait]
impl Health for Asked {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(not_offered())
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(not_offered())
    }
}

fn not_offered() -> Status {
    Status::unimplemented("not offered")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_gets_its_own_login_and_docker_hub_is_known_by_its_other_name() {
        let login = |name: &str| RegistryCredentials { username: name.to_owned(), password: name.into() };
        let credentials = ["docker.io", "ghcr.io"].map(|host| (host.to_owned(), login(host))).into();
        let answers = Answers { context: Bytes::new(), secrets: BTreeMap::new(), credentials };
        let asked = Asked { answers: Arc::new(answers), context: "/x".to_owned() };
        for (host, expected) in
            [(DOCKER_HUB, "docker.io"), ("ghcr.io", "ghcr.io"), ("gcr.io", ""), ("evil.example/ghcr.io", "")]
        {
            let request = CredentialsRequest { host: host.to_owned() };
            let answer = asked.credentials(Request::new(request)).await.unwrap().into_inner();
            assert_eq!((answer.username.as_str(), answer.secret.as_str()), (expected, expected), "{host}");
        }
    }
}
