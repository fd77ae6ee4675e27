//! HTTP/2 by hand: frames, and heads in HPACK's plainest form.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Also `ACK`.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITIZED: u8 = 32;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literals without indexing, and without Huffman's code.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| -> Vec<u8> {
        // Text stands for bytes here: U+0000 to U+00FF.
        let bytes: Vec<u8> = text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect();
        [vec![u8::try_from(bytes.len()).ok().filter(|length| *length < 127).unwrap()], bytes].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// What comes back first that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer.
    Status(u16),
    /// The stream is ended, with this error's code.
    Reset(u32),
    /// The connection is ended, with this error's code.
    GoAway(u32),
    Pong,
    Closed,
}

pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Introduces itself.
    pub(crate) async fn open(front: SocketAddr) -> Self {
        let mut connection = Self(TcpStream::connect(front).await.unwrap());
        connection.write(PREFACE).await;
        connection
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // Who breaks a rule may be hung up on.
        let _ = self.0.write_all(bytes).await;
    }

    pub(crate) async fn outcome(&mut self) -> Outcome {
        let frames = async {
            loop {
                let Some((kind, flags, payload)) = self.read().await else { return Outcome::Closed };
                let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
                match kind {
                    HEADERS => return Outcome::Status(status(&payload)),
                    RST_STREAM => return Outcome::Reset(code(0)),
                    GOAWAY => return Outcome::GoAway(code(4)),
                    PING if flags == END_STREAM => return Outcome::Pong,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, frames).await.unwrap_or_else(|_| panic!("nothing comes back"))
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        let end = async { while self.read().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end).await.is_ok()
    }

    async fn read(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]).try_into().unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], payload))
    }
}

/// Of an answer's block, whose first field it is: from the static table, or in Huffman's code of digits.
fn status(block: &[u8]) -> u16 {
    match block {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [0x08 | 0x48, length, rest @ ..] if length & 0x80 != 0 => {
            let bits = rest[..usize::from(length & 0x7f)].iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let mut left = 8 * u32::from(length & 0x7f);
            (0..3).fold(0, |status, _| {
                let five = bits >> (left - 5) & 0x1f;
                let (digit, length) = if five < 3 { (five, 5) } else { ((bits >> (left - 6) & 0x3f) - 0x16, 6) };
                left -= length;
                status * 10 + u16::try_from(digit).unwrap()
            })
        }
        [0x08 | 0x48, 3, digits @ ..] => str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        _ => panic!("no status: {block:?}"),
    }
}
