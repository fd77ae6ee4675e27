//! Where each request of a connection begins and ends, so that each head is looked at whole before anybody acts on it.

use crate::chunks::{Chunks, Reach};
use crate::head::{self, Extent, Fault, Framed};

/// One connection's.
#[derive(Debug)]
pub(crate) struct Framing {
    at: At,
    /// How many heads have passed.
    heads: u64,
    most_bytes: usize,
    most_fields: usize,
}

#[derive(Debug)]
enum At {
    Head(Scan),
    /// So many bytes of a body are left.
    Length(u64),
    Chunked(Chunks),
    /// Behind a request for another protocol, which is not answered yet.
    Undecided,
    /// Another protocol is spoken.
    Other,
}

/// How far a head was looked through.
#[derive(Debug, Default)]
struct Scan {
    /// Its first byte that was not looked at.
    next: usize,
    /// Where the line under way begins.
    line: usize,
}

/// What may be done with bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    /// So many of them, from the first, are good.
    pub(crate) good: usize,
    pub(crate) rest: Rest,
}

/// What becomes of those behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They are kept until more have come: part of a head, or what comes after an answer.
    Waits,
    /// This is no head.
    Refused(Fault),
    /// This is no body.
    Broken,
}

impl Framing {
    pub(crate) fn new(most_bytes: usize, most_fields: usize) -> Self {
        Self { at: At::Head(Scan::default()), heads: 0, most_bytes, most_fields }
    }

    /// The number of the head that is awaited, the first being 1.
    pub(crate) fn next_head(&self) -> u64 {
        self.heads + 1
    }

    /// Whether the last request's answer decides what follows.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.at, At::Undecided)
    }

    /// That answer was given.
    pub(crate) fn decide(&mut self, other_protocol: bool) {
        self.at = if other_protocol { At::Other } else { At::Head(Scan::default()) };
    }

    /// Follows what has come. What waits is given again, with more behind it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Passage {
        let mut good = 0;
        while good < bytes.len() {
            let rest = &bytes[good..];
            match &mut self.at {
                At::Head(scan) => match scan.end(rest, self.most_bytes) {
                    Ok(None) => return Passage { good, rest: Rest::Waits },
                    Ok(Some(end)) => match head::read(strip_empty_line(&rest[..end]), self.most_fields) {
                        Ok(framed) => {
                            good += end;
                            self.heads += 1;
                            self.at = behind(framed);
                        }
                        Err(fault) => return Passage { good, rest: Rest::Refused(fault) },
                    },
                    Err(fault) => return Passage { good, rest: Rest::Refused(fault) },
                },
                At::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    good += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.at = At::Head(Scan::default());
                    }
                }
                At::Chunked(chunks) => match chunks.follow(rest) {
                    Ok(Reach::All) => good = bytes.len(),
                    Ok(Reach::Ends(end)) => {
                        good += end;
                        self.at = At::Head(Scan::default());
                    }
                    Err(_) => return Passage { good, rest: Rest::Broken },
                },
                At::Undecided => return Passage { good, rest: Rest::Waits },
                At::Other => return Passage { good: bytes.len(), rest: Rest::Waits },
            }
        }
        Passage { good, rest: Rest::Waits }
    }
}

fn behind(framed: Framed) -> At {
    match framed {
        // With a body nobody changes the protocol: hyper takes the connection over only where there is none.
        Framed { body: Extent::Length(0), asks_for_upgrade: true } => At::Undecided,
        Framed { body: Extent::Length(0), .. } => At::Head(Scan::default()),
        Framed { body: Extent::Length(length), .. } => At::Length(length),
        Framed { body: Extent::Chunked, .. } => At::Chunked(Chunks::new()),
    }
}

impl Scan {
    /// Where the head ends, if its end has come. Each byte is looked at once, however slowly they come.
    fn end(&mut self, head: &[u8], most: usize) -> Result<Option<usize>, Fault> {
        while let Some(found) = memchr::memchr(b'\n', &head[self.next..]) {
            let newline = self.next + found;
            // As it is where the bytes come one by one.
            self.fits(newline + 1, most)?;
            if newline == self.line || head[newline - 1] != b'\r' {
                return Err(Fault::Malformed);
            }
            let is_empty = newline == self.line + 1;
            // One empty line before a request is no request (RFC 9112, section 2.2).
            if is_empty && self.line > 0 {
                return Ok(Some(newline + 1));
            }
            (self.line, self.next) = (newline + 1, newline + 1);
        }
        self.next = head.len();
        self.fits(head.len(), most).map(|()| None)
    }

    fn fits(&self, length: usize, most: usize) -> Result<(), Fault> {
        match length {
            length if length <= most => Ok(()),
            _ if self.line == 0 => Err(Fault::TargetTooLong),
            _ => Err(Fault::HeadTooLarge),
        }
    }
}

fn strip_empty_line(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\r\n").unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn framing() -> Framing {
        Framing::new(200, 10)
    }

    fn passed(text: &str) -> (usize, Rest) {
        let Passage { good, rest } = framing().pass(text.as_bytes());
        (good, rest)
    }

    #[test]
    fn only_whole_heads_pass() {
        assert_eq!(passed(GET), (GET.len(), Rest::Waits));
        assert_eq!(passed(&GET[..GET.len() - 1]), (0, Rest::Waits));
        assert_eq!(passed(&format!("{GET}{GET}GET")), (2 * GET.len(), Rest::Waits));
        assert_eq!(passed(&format!("\r\n{GET}")), (GET.len() + 2, Rest::Waits));
        assert_eq!(passed(&format!("{GET}GET / HTTP/1.1\r\n\r\n")), (GET.len(), Rest::Refused(Fault::Malformed)));
        assert_eq!(passed(&format!("\r\n\r\n{GET}")), (0, Rest::Refused(Fault::Malformed)));
        assert_eq!(passed("GET / HTTP/1.1\nHost: a\n\n"), (0, Rest::Refused(Fault::Malformed)));
        assert_eq!(passed("\n"), (0, Rest::Refused(Fault::Malformed)));
    }

    #[test]
    fn a_body_belongs_to_its_request_and_what_is_behind_is_the_next() {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(passed(&format!("{post}{GET}")), (post.len() + GET.len(), Rest::Waits));
        assert_eq!(passed(&format!("{post}abc\r\n\r\n")), (post.len(), Rest::Refused(Fault::Malformed)));
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(passed(&format!("{chunked}{GET}")), (chunked.len() + GET.len(), Rest::Waits));
        let head = chunked.len() - "1\r\na\r\n0\r\n\r\n".len();
        assert_eq!(passed(&format!("{}z", &chunked[..head])), (head + 1, Rest::Waits));
        assert_eq!(passed(&format!("{}z\r\n", &chunked[..head])), (head, Rest::Broken));
    }

    #[test]
    fn a_head_comes_as_slowly_as_it_likes_but_not_as_large() {
        let mut framing = framing();
        let mut come = Vec::new();
        for byte in GET.bytes() {
            come.push(byte);
            let passage = framing.pass(&come);
            assert_eq!(passage.good, if come.len() == GET.len() { GET.len() } else { 0 });
        }
        let long = "x".repeat(200);
        assert_eq!(passed(&format!("GET /{long}")), (0, Rest::Refused(Fault::TargetTooLong)));
        let large = format!("GET / HTTP/1.1\r\nX: {long}");
        assert_eq!(passed(&large), (0, Rest::Refused(Fault::HeadTooLarge)));
    }

    #[test]
    fn behind_an_upgrade_the_answer_decides() {
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut framing = framing();
        let sent = format!("{upgrade}\0\0");
        assert_eq!(framing.pass(sent.as_bytes()), Passage { good: upgrade.len(), rest: Rest::Waits });
        assert!(framing.is_undecided());
        framing.decide(true);
        assert_eq!(framing.pass(b"\0\0"), Passage { good: 2, rest: Rest::Waits });
        framing.decide(false);
        assert_eq!(framing.pass(b"\0\n").rest, Rest::Refused(Fault::Malformed));
    }
}
