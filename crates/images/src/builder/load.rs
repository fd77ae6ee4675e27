//! An image on its way from a BuildKit in a container into the engine: BuildKit hands it over as what `docker load`
//! reads, and the engine gets it as it comes.

use std::time::Duration;

use bollard::Docker;
use bollard::grpc::build::moby::filesync::v1::BytesMessage;
use bollard::grpc::build::moby::filesync::v1::file_send_server::FileSend;
use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt, empty};
use tonic::{Request, Response, Status, Streaming, async_trait};
use windlass_docker::words;

/// How long the engine may take to read an image: it answers when it has all of it.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Takes images for an engine.
#[derive(Clone)]
pub(super) struct Loader(Docker);

impl Loader {
    pub(super) fn new(docker: &Docker) -> Self {
        Self(docker.clone().with_timeout(PATIENCE))
    }
}

#[async_trait]
impl FileSend for Loader {
    type DiffCopyStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let tar = request.into_inner().map_ok(|message| Bytes::from(message.data));
        let loaded = self.0.import_image_stream(ImportImageOptions::default(), tar, None);
        let loaded = loaded.try_for_each(|_| async { Ok(()) }).await;
        loaded.map_err(|error| Status::internal(format!("the engine does not take the image: {}", words(&error))))?;
        Ok(Response::new(empty().boxed()))
    }
}
