//! A request's head as it came, before anybody reads it leniently. What two readers could understand differently is
//! refused, so that nothing is ever passed on otherwise than it was understood (RFC 9112, sections 2.2, 3 and 6.3).

use hyper::StatusCode;

/// How a request goes on behind its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) body: Extent,
    /// It asks for another protocol, which would begin behind it.
    pub(crate) asks_for_upgrade: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Of so many bytes, none perhaps.
    Length(u64),
    Chunked,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It can be read in more than one way, or in none.
    Malformed,
    /// The first line does not fit.
    TargetTooLong,
    /// The head does not fit.
    HeadTooLarge,
    /// A transfer coding that is not `chunked`.
    UnknownCoding,
    /// `CONNECT`. What comes behind it may have been meant for whoever is at the tunnel's other end.
    Tunnel,
}

impl Fault {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Tunnel => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Malformed => "The request is not HTTP as it has to be.\n",
            Self::TargetTooLong => "The request's target is too long.\n",
            Self::HeadTooLarge => "The request's head is too large.\n",
            Self::UnknownCoding => "The server knows no transfer coding but `chunked`.\n",
            Self::Tunnel => "This is not a forward proxy.\n",
        }
    }
}

/// Reads a whole head, its last empty line included, of which every line ends with CRLF.
pub(crate) fn read(head: &[u8], most_fields: usize) -> Result<Framed, Fault> {
    let (line, fields) = split_line(head).ok_or(Fault::Malformed)?;
    let Start { method, target, is_1_0 } = start(line)?;
    let mut seen = Seen::default();
    let mut count = 0;
    let mut rest = fields;
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > most_fields {
            return Err(Fault::HeadTooLarge);
        }
        let (name, value) = field(line).ok_or(Fault::Malformed)?;
        seen.note(name, value)?;
    }
    if method == b"CONNECT" {
        return Err(Fault::Tunnel);
    }
    // Of all servers only (RFC 9112, section 3.2.4).
    if target == b"*" && method != b"OPTIONS" {
        return Err(Fault::Malformed);
    }
    seen.framed(target, is_1_0)
}

struct Start<'a> {
    method: &'a [u8],
    target: &'a [u8],
    is_1_0: bool,
}

/// One space and no other between the three parts.
fn start(line: &[u8]) -> Result<Start<'_>, Fault> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::Malformed);
    };
    let is_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(Fault::Malformed),
    };
    // A fragment is never sent (RFC 9112, section 3.2), and who cuts it off asks for something else.
    let is_target = !target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#');
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || !is_target {
        return Err(Fault::Malformed);
    }
    Ok(Start { method, target, is_1_0 })
}

/// Name and value of a line. None begins with a blank, which once continued the line before.
pub(crate) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_value = value.iter().all(|byte| (*byte >= b' ' && *byte != 0x7f) || *byte == b'\t');
    (!name.is_empty() && name.iter().all(|byte| is_token(*byte)) && is_value).then_some((name, value))
}

/// What frames a message, or says whom it is for.
#[derive(Debug, Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    is_chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

impl<'a> Seen<'a> {
    fn note(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Fault> {
        // Most fields are none of these, and their length says so.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.names(value)?,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                self.connection_upgrade |= words.any(|word| word.eq_ignore_ascii_case(b"upgrade"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = decimal(value).ok_or(Fault::Malformed)?;
                if self.length.replace(length).is_some() {
                    return Err(Fault::Malformed);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::UnknownCoding);
                }
                if std::mem::replace(&mut self.is_chunked, true) {
                    return Err(Fault::Malformed);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn names(&mut self, host: &'a [u8]) -> Result<(), Fault> {
        let is_only = self.host.replace(host).is_none();
        if is_only && is_host(host) { Ok(()) } else { Err(Fault::Malformed) }
    }

    fn framed(self, target: &[u8], is_1_0: bool) -> Result<Framed, Fault> {
        let both = self.is_chunked && (self.length.is_some() || is_1_0);
        let lacks_host = self.host.is_none() && !is_1_0;
        if both || lacks_host || !is_for(target, self.host) {
            return Err(Fault::Malformed);
        }
        let body = if self.is_chunked { Extent::Chunked } else { Extent::Length(self.length.unwrap_or_default()) };
        Ok(Framed { body, asks_for_upgrade: self.upgrade && self.connection_upgrade })
    }
}

/// A target is a path, or names the same host as the head, or is `*`. Nothing else is for us, though it could be read so.
fn is_for(target: &[u8], host: Option<&[u8]>) -> bool {
    if target.starts_with(b"/") || target == b"*" {
        return true;
    }
    let Some(scheme) = memchr::memmem::find(target, b"://") else { return false };
    let authority = &target[scheme + 3..];
    let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len());
    let (scheme, authority) = (&target[..scheme], &authority[..end]);
    let is_ours = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    is_ours && is_host(authority) && host.is_none_or(|host| host.eq_ignore_ascii_case(authority))
}

/// Whether it is a name or an address, with a port perhaps, and nothing else: nobody's name, no path, no second host.
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    let is_port = |rest: &[u8]| rest.is_empty() || rest[0] == b':' && rest[1..].iter().all(u8::is_ascii_digit);
    if let Some(address) = value.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', address) else { return false };
        let (address, rest) = (&address[..end], &address[end + 1..]);
        return !address.is_empty()
            && address.iter().all(|byte| byte.is_ascii_alphanumeric() || b":.".contains(byte))
            && is_port(rest);
    }
    let (name, rest) = value.split_at(memchr::memchr(b':', value).unwrap_or(value.len()));
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_~%!$&'()*+;=".contains(byte));
    !name.is_empty() && is_name && is_port(rest)
}

/// Digits and nothing else: no sign, no list, no blank.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    digits?.parse().ok()
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    let line = text[..end].strip_suffix(b"\r")?;
    Some((line, &text[end + 1..]))
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(lines: &str) -> Result<Framed, Fault> {
        read(format!("{}\r\n\r\n", lines.replace('\n', "\r\n")).as_bytes(), 4)
    }

    fn plain(body: Extent) -> Result<Framed, Fault> {
        Ok(Framed { body, asks_for_upgrade: false })
    }

    #[test]
    fn what_everybody_reads_alike_passes() {
        assert_eq!(framed("GET / HTTP/1.1\nHost: a"), plain(Extent::Length(0)));
        assert_eq!(framed("GET / HTTP/1.0"), plain(Extent::Length(0)));
        assert_eq!(framed("POST http://a/x HTTP/1.1\nHost: A\nContent-Length: 5"), plain(Extent::Length(5)));
        assert_eq!(framed("POST / HTTP/1.1\nhost:a:80\ntransfer-encoding:CHUNKED"), plain(Extent::Chunked));
        assert_eq!(framed("OPTIONS * HTTP/1.1\nHost: [::1]:80\nX-Empty:"), plain(Extent::Length(0)));
        let upgrade = framed("GET / HTTP/1.1\nHost: a\nConnection: x, Upgrade\nUpgrade: websocket");
        assert!(upgrade.unwrap().asks_for_upgrade);
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for lines in [
            "GET  / HTTP/1.1\nHost: a",
            "GET / HTTP/1.1 \nHost: a",
            "GET /\tHTTP/1.1\nHost: a",
            "GET /",
            "GET / HTTP/2.0\nHost: a",
            "GET / http/1.1\nHost: a",
            "GET /a#b HTTP/1.1\nHost: a",
            "G(T / HTTP/1.1\nHost: a",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\nHost: a\nHost: a",
            "GET / HTTP/1.1\nHost: a, b",
            "GET / HTTP/1.1\nHost: a/b",
            "GET / HTTP/1.1\nHost: u@a",
            "GET / HTTP/1.1\nHost:",
            "GET / HTTP/1.1\nHost: a:b",
            "GET / HTTP/1.1\nHost: a:1:1",
            "GET / HTTP/1.1\nHost: [::1",
            "GET / HTTP/1.1\nHost: [::1]a",
            "GET * HTTP/1.1\nHost: a",
            "GET a HTTP/1.1\nHost: a",
            "GET a:80 HTTP/1.1\nHost: a",
            "GET ftp://a/ HTTP/1.1\nHost: a",
            "GET http:/a HTTP/1.1\nHost: a",
            "GET http://u@a/ HTTP/1.0",
            "GET http://b/ HTTP/1.1\nHost: a",
            "GET / HTTP/1.1\nHost : a",
            "GET / HTTP/1.1\n Host: a",
            "GET / HTTP/1.1\nHost: a\n folded",
            "GET / HTTP/1.1\nHost: a\nX: a\0b",
            "GET / HTTP/1.1\nHost: a\nX: a\rb",
            "GET / HTTP/1.1\nHost: a\nnothing",
            "GET / HTTP/1.1\nHost: a\n: b",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked",
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 1",
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
            "POST / HTTP/1.0\nTransfer-Encoding: chunked",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1, 1",
            "POST / HTTP/1.1\nHost: a\nContent-Length: +1",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 0x1",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1 1",
            "POST / HTTP/1.1\nHost: a\nContent-Length:",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 99999999999999999999",
        ] {
            assert_eq!(framed(lines), Err(Fault::Malformed), "{lines:?}");
        }
        for coding in ["gzip, chunked", "chunked, identity", "identity", "xchunked", "\"chunked\"", "chunked;q=1", ""] {
            let lines = format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: {coding}");
            assert_eq!(framed(&lines), Err(Fault::UnknownCoding), "{coding:?}");
        }
        assert_eq!(framed("CONNECT a:80 HTTP/1.1\nHost: a:80"), Err(Fault::Tunnel));
        assert_eq!(framed("GET / HTTP/1.1\nHost: a\nA: 1\nB: 1\nC: 1\nD: 1"), Err(Fault::HeadTooLarge));
    }
}
