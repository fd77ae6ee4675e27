//! One request in one line, in which nothing that a client has sent can begin another or pass for a field of its own.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Version};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::Formatter;
use windlass_core::config::AccessLogFormat;

/// What is known of it at its end.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// When its head was there.
    pub(crate) begun: Timestamp,
    pub(crate) client: IpAddr,
    pub(crate) host: &'a [u8],
    pub(crate) method: &'a Method,
    /// Path and query, as they were sent.
    pub(crate) path: &'a str,
    pub(crate) protocol: Version,
    pub(crate) status: u16,
    pub(crate) end: End,
    /// Of the body.
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) service: Option<&'a str>,
    pub(crate) release: Option<u64>,
    pub(crate) target: Option<&'a str>,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) user_agent: Option<&'a HeaderValue>,
    pub(crate) referer: Option<&'a HeaderValue>,
}

/// How the answer came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// All of it was sent.
    Whole,
    /// The client has gone, or the app's answer broke.
    Broken,
    /// The client has gone before there was one.
    Unanswered,
}

/// The line as an object. Its fields' names are promised.
#[derive(Serialize)]
struct Fields<'a> {
    time: String,
    client: IpAddr,
    host: Cow<'a, str>,
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    status: u16,
    end: End,
    bytes: u64,
    duration_ms: f64,
    first_byte_ms: Option<f64>,
    service: Option<&'a str>,
    release: Option<u64>,
    target: Option<&'a str>,
    request_id: Cow<'a, str>,
    user_agent: Option<Cow<'a, str>>,
    referer: Option<Cow<'a, str>>,
}

impl Line<'_> {
    /// With its end.
    pub(super) fn written(&self, format: AccessLogFormat) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        let written = match format {
            AccessLogFormat::Json => self.write_json(&mut line),
            AccessLogFormat::Combined => self.write_combined(&mut line),
        };
        if let Err(error) = written {
            tracing::error!(%error, "a line of the access log cannot be written down");
        }
        line.push(b'\n');
        line
    }

    fn write_json(&self, line: &mut Vec<u8>) -> io::Result<()> {
        let lossy = |value: &'_ HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned().into();
        let fields = Fields {
            time: self.begun.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            client: self.client,
            host: String::from_utf8_lossy(self.host),
            method: self.method.as_str(),
            path: self.path,
            protocol: protocol(self.protocol),
            status: self.status,
            end: self.end,
            bytes: self.bytes,
            duration_ms: millis(self.duration),
            first_byte_ms: self.first_byte.map(millis),
            service: self.service,
            release: self.release,
            target: self.target,
            request_id: lossy(self.request_id),
            user_agent: self.user_agent.map(lossy),
            referer: self.referer.map(lossy),
        };
        let mut serializer = serde_json::Serializer::with_formatter(line, Ascii);
        fields.serialize(&mut serializer).map_err(io::Error::other)
    }

    /// The nine fields of Apache and nginx, and ours behind them.
    fn write_combined(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write!(line, "{} - - [{}] ", self.client, self.begun.strftime("%d/%b/%Y:%H:%M:%S +0000"))?;
        quoted(line, &[self.method.as_str().as_bytes(), self.path.as_bytes(), protocol(self.protocol).as_bytes()])?;
        write!(line, " {} {}", self.status, self.bytes)?;
        let given = |value: Option<&HeaderValue>| value.map_or(b"-".to_vec(), |value| value.as_bytes().to_vec());
        for text in [given(self.referer), given(self.user_agent), self.host.to_vec()] {
            line.push(b' ');
            quoted(line, &[&text])?;
        }
        for text in [self.service, self.target] {
            line.push(b' ');
            quoted(line, &[text.unwrap_or("-").as_bytes()])?;
        }
        let release = self.release.map_or_else(|| "-".to_owned(), |release| release.to_string());
        let first_byte = self.first_byte.map_or_else(|| "-".to_owned(), |it| format!("{:.3}", millis(it)));
        write!(line, " {release} ")?;
        quoted(line, &[self.request_id.as_bytes()])?;
        let end = match self.end {
            End::Whole => "whole",
            End::Broken => "broken",
            End::Unanswered => "unanswered",
        };
        write!(line, " {:.3} {first_byte} {end}", millis(self.duration))
    }
}

/// What could end the field or the line, or is nothing that a terminal should be shown, is `\xHH`, as nginx has it.
fn quoted(line: &mut Vec<u8>, words: &[&[u8]]) -> io::Result<()> {
    line.push(b'"');
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        for byte in *word {
            match byte {
                b'"' | b'\\' | ..b' ' | 0x7f.. => write!(line, "\\x{byte:02X}")?,
                _ => line.push(*byte),
            }
        }
    }
    line.push(b'"');
    Ok(())
}

/// JSON in which every character is a visible one of ASCII: what else there is would be for a terminal to obey.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for char in fragment.chars() {
            if matches!(char, ' '..='~') {
                writer.write_all(&[char as u8])?;
                continue;
            }
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: AccessLogFormat, path: &str, given: &'static [u8]) -> String {
        let given = HeaderValue::from_bytes(given).unwrap();
        let line = Line {
            begun: "2026-11-29T18:42:31.0425Z".parse().unwrap(),
            client: "2001:db8::1".parse().unwrap(),
            host: given.as_bytes(),
            method: &Method::GET,
            path,
            protocol: Version::HTTP_11,
            status: 200,
            end: End::Whole,
            bytes: 1234,
            duration: Duration::from_micros(12_345),
            first_byte: Some(Duration::from_micros(1_500)),
            service: Some("1/production/shop"),
            release: Some(12),
            target: None,
            request_id: &HeaderValue::from_static("f00"),
            user_agent: Some(&given),
            referer: None,
        };
        String::from_utf8(line.written(format)).unwrap()
    }

    #[test]
    fn a_line_says_all_that_is_known() {
        let json = written(AccessLogFormat::Json, "/a?b=c", b"curl/8");
        let expected = concat!(
            r#"{"time":"2026-11-29T18:42:31.042Z","client":"2001:db8::1","host":"curl/8","method":"GET","path":"/a?b=c","#,
            r#""protocol":"HTTP/1.1","status":200,"end":"whole","bytes":1234,"duration_ms":12.345,"first_byte_ms":1.5,"#,
            r#""service":"1/production/shop","release":12,"target":null,"request_id":"f00","user_agent":"curl/8","#,
            "\"referer\":null}\n",
        );
        assert_eq!(json, expected);
        let combined = written(AccessLogFormat::Combined, "/a?b=c", b"curl/8");
        let expected = concat!(
            r#"2001:db8::1 - - [29/Nov/2026:18:42:31 +0000] "GET /a?b=c HTTP/1.1" 200 1234 "-" "curl/8" "curl/8" "#,
            "\"1/production/shop\" \"-\" 12 \"f00\" 12.345 1.500 whole\n",
        );
        assert_eq!(combined, expected);
    }

    #[test]
    fn nothing_that_a_client_sends_begins_a_line_or_ends_a_field() {
        const EVIL: &[u8] = b"\"}\\ 1\t\" 200 \xc2\x9b31m \xe2\x80\xae \xff";
        for format in [AccessLogFormat::Json, AccessLogFormat::Combined] {
            let line = written(format, "/\u{202e}\"\\x", EVIL);
            let (last, rest) = line.as_bytes().split_last().unwrap();
            assert_eq!(*last, b'\n');
            assert!(rest.iter().all(|byte| (b' '..=b'~').contains(byte)), "{line}");
        }
        let json: serde_json::Value = serde_json::from_str(&written(AccessLogFormat::Json, "/", EVIL)).unwrap();
        assert_eq!(json["user_agent"], "\"}\\ 1\t\" 200 \u{9b}31m \u{202e} \u{fffd}");
        let combined = written(AccessLogFormat::Combined, "/", EVIL);
        assert!(combined.contains(r#""\x22}\x5C 1\x09\x22 200 \xC2\x9B31m \xE2\x80\xAE \xFF""#), "{combined}");
    }
}
