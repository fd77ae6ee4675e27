//! A chunked body as it comes (RFC 9112, section 7.1): sizes in hexadecimal, lines that end with CRLF, and nothing that one
//! reader would skip and another would not.

use crate::head::field;

/// Where in a chunked body it is.
#[derive(Debug)]
pub(crate) struct Chunks {
    at: At,
    /// The line that is under way: a size with its extensions, or a trailer.
    line: Vec<u8>,
    /// What trailers have come to.
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    /// The line end behind a chunk's data, of which so many bytes have come.
    DataEnd(usize),
    Trailers,
}

/// The body cannot be read in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// How far the body goes in some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Through all of them.
    All,
    /// It ends behind so many.
    Ends(usize),
}

/// Of a size with its extensions.
const LONGEST_SIZE: usize = 256;
const MOST_TRAILERS: usize = 8 * 1024;

impl Chunks {
    pub(crate) const fn new() -> Self {
        Self { at: At::Size, line: Vec::new(), trailers: 0 }
    }

    /// Follows the body through what has come.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<Reach, BadChunk> {
        let mut place = 0;
        while place < bytes.len() {
            let rest = &bytes[place..];
            match self.at {
                At::Data(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    place += taken;
                    let left = left - taken as u64;
                    self.at = if left == 0 { At::DataEnd(0) } else { At::Data(left) };
                }
                At::DataEnd(come) => {
                    if rest[0] != b"\r\n"[come] {
                        return Err(BadChunk);
                    }
                    place += 1;
                    self.at = if come == 0 { At::DataEnd(1) } else { At::Size };
                }
                At::Size => {
                    let Some(line) = self.line(rest, LONGEST_SIZE, &mut place)? else { continue };
                    self.at = match size(&line)? {
                        0 => At::Trailers,
                        size => At::Data(size),
                    };
                }
                At::Trailers => {
                    let Some(line) = self.line(rest, MOST_TRAILERS - self.trailers, &mut place)? else { continue };
                    if line.is_empty() {
                        return Ok(Reach::Ends(place));
                    }
                    self.trailers += line.len() + 2;
                    field(&line).filter(|_| self.trailers < MOST_TRAILERS).ok_or(BadChunk)?;
                }
            }
        }
        Ok(Reach::All)
    }

    /// The line that ends in these bytes, without its end.
    fn line(&mut self, bytes: &[u8], most: usize, place: &mut usize) -> Result<Option<Vec<u8>>, BadChunk> {
        let end = memchr::memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        *place += part.len() + usize::from(end.is_some());
        if self.line.len() + part.len() > most {
            return Err(BadChunk);
        }
        self.line.extend_from_slice(part);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if line.pop() == Some(b'\r') { Ok(Some(line)) } else { Err(BadChunk) }
    }
}

/// The size alone, or with extensions behind a semicolon, which nobody needs.
fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let (digits, extensions) = match memchr::memchr(b';', line) {
        Some(end) => (&line[..end], &line[end..]),
        None => (line, &line[line.len()..]),
    };
    let is_size = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let is_plain = extensions.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let digits = str::from_utf8(digits).ok().filter(|_| is_size && is_plain).ok_or(BadChunk)?;
    u64::from_str_radix(digits, 16).map_err(|_| BadChunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and byte by byte.
    fn follow(body: &str) -> Result<Reach, BadChunk> {
        let whole = Chunks::new().follow(body.as_bytes());
        let mut chunks = Chunks::new();
        let mut bytewise = Ok(Reach::All);
        for (place, byte) in body.bytes().enumerate() {
            bytewise = chunks.follow(&[byte]).map(|reach| match reach {
                Reach::All => Reach::All,
                Reach::Ends(behind) => Reach::Ends(place + behind),
            });
            if bytewise != Ok(Reach::All) {
                break;
            }
        }
        assert_eq!(whole, bytewise, "{body:?}");
        whole
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_its_trailers() {
        assert_eq!(follow("0\r\n\r\nGET"), Ok(Reach::Ends(5)));
        assert_eq!(follow("3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nX: 1\r\n\r\n"), Ok(Reach::Ends(38)));
        assert_eq!(follow("3\r\nab"), Ok(Reach::All));
        assert_eq!(follow("0000000000000003\r\nabc\r\n"), Ok(Reach::All));
    }

    #[test]
    fn what_two_readers_could_frame_differently_is_refused() {
        for body in [
            "3\nabc\r\n",
            "3\r\nabc\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\r3\r\n",
            " 3\r\n",
            "3 \r\n",
            "+3\r\n",
            "-1\r\n",
            "0x3\r\n",
            "\r\n",
            ";x\r\n",
            "g\r\n",
            "3\r;x\r\n",
            "3;\u{1}\r\n",
            "10000000000000000\r\n",
            "0\r\nX : 1\r\n\r\n",
            "0\r\n X: 1\r\n\r\n",
            "0\r\nX: 1\n\r\n",
            "0\r\nX: a\0\r\n\r\n",
        ] {
            assert_eq!(follow(body), Err(BadChunk), "{body:?}");
        }
        assert_eq!(follow(&format!("3;{}\r\n", "x".repeat(LONGEST_SIZE))), Err(BadChunk));
        let trailers = "X: 1234567890\r\n".repeat(MOST_TRAILERS / 10);
        assert_eq!(follow(&format!("0\r\n{trailers}\r\n")), Err(BadChunk));
    }
}
