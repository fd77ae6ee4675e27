//! What a proxy in front says before the client's first byte: whose connection it is (the PROXY protocol, 1 and 2).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use ppp::v1;
use ppp::v2::{self, Addresses, Command};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Version 2 begins so, and no request does.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 1's longest line.
const LONGEST_LINE: usize = 107;
/// Version 2's addresses and what else is said: more than any proxy says.
const LONGEST_REST: usize = 2048;

/// Whom the connection is from. `None`: from the proxy itself, which asks for our health.
///
/// # Errors
///
/// When it says nothing that can be understood. Nothing is read behind it.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; SIGNATURE.len()];
    stream.read_exact(&mut begin).await?;
    if begin == *SIGNATURE { binary(stream).await } else { line(stream, &begin).await }
}

async fn binary(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if length > LONGEST_REST {
        return Err(not_understood());
    }
    let mut header = [&SIGNATURE[..], &fixed].concat();
    let begun = header.len();
    header.resize(begun + length, 0);
    stream.read_exact(&mut header[begun..]).await?;
    let header = v2::Header::try_from(&*header).map_err(|_| not_understood())?;
    if header.command == Command::Local {
        return Ok(None);
    }
    match header.addresses {
        Addresses::IPv4(it) => Ok(Some((it.source_address, it.source_port).into())),
        Addresses::IPv6(it) => Ok(Some((it.source_address, it.source_port).into())),
        Addresses::Unix(_) | Addresses::Unspecified => Ok(None),
    }
}

/// Byte by byte, since what comes behind it is somebody else's to read.
async fn line(stream: &mut (impl AsyncRead + Unpin), begin: &[u8]) -> io::Result<Option<SocketAddr>> {
    if !begin.starts_with(b"PROXY ") {
        return Err(not_understood());
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE || line.contains(&b'\n') {
            return Err(not_understood());
        }
        line.push(stream.read_u8().await?);
    }
    let line = str::from_utf8(&line).map_err(|_| not_understood())?;
    match v1::Header::try_from(line).map_err(|_| not_understood())?.addresses {
        v1::Addresses::Tcp4(it) => Ok(Some((it.source_address, it.source_port).into())),
        v1::Addresses::Tcp6(it) => Ok(Some((it.source_address, it.source_port).into())),
        v1::Addresses::Unknown => Ok(None),
    }
}

fn not_understood() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the proxy does not say whose connection it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(text: &[u8]) -> Result<(Option<SocketAddr>, usize), ErrorKind> {
        let mut rest = text;
        let source = read(&mut rest).await.map_err(|error| error.kind())?;
        Ok((source, rest.len()))
    }

    #[tokio::test]
    async fn both_versions_say_whose_connection_it_is_and_leave_what_is_behind() {
        let client: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let first = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\nGET /";
        assert_eq!(said(first).await, Ok((Some(client), 5)));
        let six = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n";
        assert_eq!(said(six).await, Ok((Some("[2001:db8::1]:4711".parse().unwrap()), 0)));
        assert_eq!(said(b"PROXY UNKNOWN\r\nGET").await, Ok((None, 3)));
        let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 187];
        let second = [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &addresses, b"GET /"].concat();
        assert_eq!(said(&second).await, Ok((Some(client), 5)));
        let local = [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat();
        assert_eq!(said(&local).await, Ok((None, 0)));
    }

    #[tokio::test]
    async fn what_is_none_is_not_read_to_its_end() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let large = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        let wrong = [&SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat();
        for text in
            [b"GET / HTTP/1.1\r\n".as_slice(), b"PROXY TCP4 a b c d\r\n", b"PROXY TCP4\nx\r\n", &long, &large, &wrong]
        {
            assert_eq!(said(text).await, Err(ErrorKind::InvalidData), "{text:?}");
        }
        assert_eq!(said(b"PROXY").await, Err(ErrorKind::UnexpectedEof));
    }
}
