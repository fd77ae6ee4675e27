//! Where other gateways come in: those that want to follow this one, and those that this one has followed.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use super::Estate;
use crate::lineage::{Visitor, wire};
use crate::own_socket::OwnSocket;

/// So long a visitor may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens to whoever comes until the gateway stops or is followed.
pub(crate) async fn serve(door: OwnSocket, estate: Estate) {
    let (look, followed) = (Arc::clone(&estate.look[1]), estate.followed.clone());
    let estate = Arc::new(estate);
    door.serve(|stream| receive(stream, Arc::clone(&estate)), &look, followed).await;
}

async fn receive(mut stream: UnixStream, estate: Arc<Estate>) {
    match tokio::time::timeout(PATIENCE, wire::receive(&mut stream)).await {
        Ok(Ok(Visitor::Successor { version })) => estate.hand_over(stream, &version).await,
        Ok(Ok(Visitor::Predecessor { report })) => estate.board.hear_predecessor(stream, report).await,
        Ok(Err(error)) => tracing::debug!(%error, "somebody came to the door and made no sense"),
        Err(_) => tracing::debug!("somebody came to the door and said nothing"),
    }
}
