//! Messages and sockets over a Unix socket: JSON behind its length, and a socket behind a byte of its own.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// All services of a gateway, many times over.
const LARGEST: usize = 64 << 20;
/// What a socket travels with.
const CARRIER: u8 = b'S';

pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&text).await
}

/// Reads no byte beyond the message: a socket that comes behind it would be lost.
pub(crate) async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await?;
    let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST);
    let length = length.ok_or_else(|| io::Error::other("a message that is too large"))?;
    let mut text = Vec::new();
    stream.take(length as u64).read_to_end(&mut text).await?;
    if text.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&text)?)
}

pub(crate) async fn send_socket(stream: &UnixStream, socket: BorrowedFd<'_>) -> io::Result<()> {
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::Error::other("there is no room for a socket"));
        }
        sendmsg(stream, &[IoSlice::new(&[CARRIER])], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, send).await
}

pub(crate) async fn receive_socket(stream: &UnixStream) -> io::Result<OwnedFd> {
    let receive = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let sockets = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        sockets.last().ok_or_else(|| io::Error::other("a byte without a socket"))
    };
    stream.async_io(Interest::READABLE, receive).await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn sockets_come_between_messages() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        send(&mut here, &"before").await.unwrap();
        for listener in &listeners {
            send_socket(&here, listener.as_fd()).await.unwrap();
        }
        send(&mut here, &"behind").await.unwrap();
        assert_eq!(receive::<String>(&mut there).await.unwrap(), "before");
        for listener in &listeners {
            let socket = TcpListener::from(receive_socket(&there).await.unwrap());
            assert_eq!(socket.local_addr().unwrap(), listener.local_addr().unwrap());
        }
        assert_eq!(receive::<String>(&mut there).await.unwrap(), "behind");
        drop(here);
        assert_eq!(receive_socket(&there).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_message_that_is_too_large_is_not_waited_for() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert!(receive::<String>(&mut there).await.unwrap_err().to_string().contains("too large"));
    }
}
