//! The rules, each with frames that keep or break it, and what has to come back.

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PADDED, PING, PRIORITIZED, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};

const NO_ERROR_YET: &[Outcome] = &[Outcome::Pong];
const ANSWERED: &[Outcome] = &[Outcome::Status(200)];
const PROTOCOL: &[Outcome] = &[Outcome::GoAway(1)];
// The `h2` crate says PROTOCOL_ERROR for most of what has a code of its own, as one may (RFC 9113, section 7).
const FLOW_CONTROL: &[Outcome] = &[Outcome::GoAway(3), Outcome::GoAway(1)];
const FRAME_SIZE: &[Outcome] = &[Outcome::GoAway(6), Outcome::GoAway(1)];
const COMPRESSION: &[Outcome] = &[Outcome::GoAway(9), Outcome::GoAway(1)];
const CLOSED: &[Outcome] = &[Outcome::GoAway(5), Outcome::Reset(5), Outcome::GoAway(1)];
/// A request that is none: the stream ends, or is answered with 400. Where its bytes are no text, the connection ends.
const MALFORMED: &[Outcome] = &[Outcome::Reset(1), Outcome::Status(400), Outcome::GoAway(1)];
const STREAM_FLOW_CONTROL: &[Outcome] = &[Outcome::Reset(3)];
const REFUSED: &[Outcome] = &[Outcome::Reset(7)];

const ENDS: u8 = END_HEADERS | END_STREAM;
const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "shop.test")];

type Case = (String, Vec<u8>, &'static [Outcome]);

pub(crate) fn all() -> Vec<Case> {
    let own_settings = frames().into_iter().map(|(rule, sent, expected)| {
        (rule.to_owned(), [frame(SETTINGS, 0, 0, &[]), sent.concat()].concat(), expected)
    });
    own_settings.chain(beginnings()).chain(requests()).collect()
}

/// A request of these fields.
fn with(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    GET.iter().chain(fields).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn head(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = with(fields);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    frame(HEADERS, flags, stream, &block(&fields))
}

fn get(stream: u32) -> Vec<u8> {
    head(ENDS, stream, &[])
}

/// A head whose body comes.
fn open(stream: u32) -> Vec<u8> {
    head(END_HEADERS, stream, &[])
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"12345678")
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn beginnings() -> Vec<Case> {
    let case = |rule: &str, sent: Vec<u8>, expected| (rule.to_owned(), sent, expected);
    vec![
        // The `h2` crate does not insist on it, and nothing is understood differently.
        case("3.4: another frame than SETTINGS begins", ping(), NO_ERROR_YET),
        case("3.4: settings and a request at once", [frame(SETTINGS, 0, 0, &[]), get(1)].concat(), ANSWERED),
    ]
}

/// Each behind SETTINGS.
type Frames = (&'static str, Vec<Vec<u8>>, &'static [Outcome]);

fn frames() -> Vec<Frames> {
    let no_end = |stream| frame(HEADERS, END_STREAM, stream, &block(&GET));
    let raw = |bytes: &[u8]| vec![frame(HEADERS, ENDS, 1, bytes)];
    let padded = |kind, stream| frame(kind, PADDED | END_HEADERS, stream, &[200, 0, 0]);
    let halves = block(&GET);
    let (first, second) = halves.split_at(20);
    let one = 1_u32.to_be_bytes();
    let most = 0x7fff_ffff_u32.to_be_bytes();
    vec![
        ("4.1: a frame of an unknown kind is ignored", vec![frame(0x16, 0xff, 0, b"12345678"), ping()], NO_ERROR_YET),
        ("4.1: unknown flags are ignored", vec![frame(PING, 0x16, 0, b"12345678")], NO_ERROR_YET),
        ("4.1: the reserved bit is ignored", vec![frame(PING, 0, 1 << 31, b"12345678")], NO_ERROR_YET),
        ("4.2: DATA of 2^14 bytes", vec![open(1), frame(DATA, END_STREAM, 1, &[b'x'; 1 << 14])], ANSWERED),
        ("4.2: DATA of more", vec![open(1), frame(DATA, END_STREAM, 1, &[0; (1 << 14) + 1])], FRAME_SIZE),
        ("4.2: a head of more", raw(&[0; (1 << 14) + 1]), FRAME_SIZE),
        ("4.3: index 0", raw(&[0x80]), COMPRESSION),
        ("4.3: an index that nothing has", raw(&[0xff, 0x20]), COMPRESSION),
        ("4.3: an index that never ends", raw(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), COMPRESSION),
        ("4.3: a text that is cut", raw(&[0x00, 0x05, b'a']), COMPRESSION),
        ("4.3: a table larger than said", raw(&[0x3f, 0xff, 0xff, 0x7f]), COMPRESSION),
        ("4.3: a table changed behind a field", raw(&[&block(&GET)[..], &[0x20]].concat()), COMPRESSION),
        ("4.3: Huffman's code padded with zeros", raw(&[0x00, 0x81, 0x00, 0x81, 0x00]), COMPRESSION),
        ("4.3: Huffman's code padded with a whole byte", raw(&[0x00, 0x82, 0x1f, 0xff, 0x01, b'a']), COMPRESSION),
        ("4.3: Huffman's code with its end", raw(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a']), COMPRESSION),
        ("5.1: DATA where nothing is", vec![frame(DATA, END_STREAM, 1, b"x")], PROTOCOL),
        ("5.1: RST_STREAM where nothing is", vec![frame(RST_STREAM, 0, 1, &one)], PROTOCOL),
        ("5.1: WINDOW_UPDATE where nothing is", vec![frame(WINDOW_UPDATE, 0, 1, &one)], PROTOCOL),
        ("5.1: CONTINUATION where nothing is", vec![frame(CONTINUATION, END_HEADERS, 1, &block(&GET))], PROTOCOL),
        ("5.1: DATA behind its end", vec![get(1), frame(DATA, END_STREAM, 1, b"x")], CLOSED),
        (
            "5.1: DATA behind a reset",
            vec![open(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(DATA, 0, 1, b"x"), ping()],
            &[Outcome::Pong, Outcome::GoAway(5), Outcome::Reset(5)],
        ),
        ("5.1.1: an even stream", vec![get(2)], PROTOCOL),
        ("5.1.1: an older stream", vec![open(5), get(3)], PROTOCOL),
        ("5.1.2: more streams than said", (0..129).map(|number| open(2 * number + 1)).collect(), REFUSED),
        ("5.3.1: PRIORITY is no error", vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]), ping()], NO_ERROR_YET),
        ("5.5: an unknown frame amid a head", vec![no_end(1), frame(0x16, 0, 0, b"")], PROTOCOL),
        ("6.1: DATA of the connection", vec![open(1), frame(DATA, END_STREAM, 0, b"x")], PROTOCOL),
        ("6.1: DATA of nothing but padding too long", vec![open(1), padded(DATA, 1)], PROTOCOL),
        ("6.2: HEADERS of the connection", vec![get(0)], PROTOCOL),
        ("6.2: HEADERS with padding too long", vec![padded(HEADERS, 1)], PROTOCOL),
        ("6.2: HEADERS amid a head", vec![no_end(1), get(3)], PROTOCOL),
        ("6.2: DATA amid a head", vec![no_end(1), frame(DATA, 0, 1, b"x")], PROTOCOL),
        ("6.2: PRIORITY amid a head", vec![no_end(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])], PROTOCOL),
        (
            "6.2: another stream's rest of a head",
            vec![open(1), no_end(3), frame(CONTINUATION, END_HEADERS, 1, b"")],
            PROTOCOL,
        ),
        (
            "6.2: padding and priority",
            vec![frame(
                HEADERS,
                ENDS | PADDED | PRIORITIZED,
                1,
                &[&[2, 0, 0, 0, 0, 16], &block(&GET)[..], &[0, 0]].concat(),
            )],
            ANSWERED,
        ),
        ("6.3: PRIORITY of the connection", vec![frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 16])], PROTOCOL),
        ("6.4: RST_STREAM of the connection", vec![frame(RST_STREAM, 0, 0, &one)], PROTOCOL),
        ("6.4: RST_STREAM of three bytes", vec![open(1), frame(RST_STREAM, 0, 1, &[0; 3])], FRAME_SIZE),
        ("6.5: SETTINGS acknowledged with some", vec![frame(SETTINGS, 1, 0, &[0; 6])], FRAME_SIZE),
        ("6.5: SETTINGS of a stream", vec![frame(SETTINGS, 0, 1, &[])], PROTOCOL),
        ("6.5: SETTINGS of three bytes", vec![frame(SETTINGS, 0, 0, &[0; 3])], FRAME_SIZE),
        ("6.5.2: push is neither on nor off", vec![setting(2, 2)], PROTOCOL),
        ("6.5.2: a window of 2^31", vec![setting(4, 1 << 31)], FLOW_CONTROL),
        ("6.5.2: frames smaller than 2^14", vec![setting(5, (1 << 14) - 1)], PROTOCOL),
        ("6.5.2: frames of 2^24", vec![setting(5, 1 << 24)], PROTOCOL),
        ("6.5.2: an unknown setting is ignored", vec![setting(0xff, 1), ping()], NO_ERROR_YET),
        (
            "6.6: PUSH_PROMISE of a client",
            vec![open(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &block(&GET)[..]].concat())],
            PROTOCOL,
        ),
        ("6.7: PING is answered", vec![ping()], NO_ERROR_YET),
        ("6.7: a PING's answer is not", vec![frame(PING, 1, 0, b"unasked!"), ping()], NO_ERROR_YET),
        ("6.7: PING of a stream", vec![frame(PING, 0, 1, b"12345678")], PROTOCOL),
        ("6.7: PING of six bytes", vec![frame(PING, 0, 0, b"123456")], FRAME_SIZE),
        ("6.8: GOAWAY of a stream", vec![frame(GOAWAY, 0, 1, &[0; 8])], PROTOCOL),
        ("6.9: WINDOW_UPDATE by nothing", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])], PROTOCOL),
        (
            "6.9: WINDOW_UPDATE of a stream by nothing",
            vec![open(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])],
            &[Outcome::Reset(1), Outcome::GoAway(1)],
        ),
        ("6.9: WINDOW_UPDATE of three bytes", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], FRAME_SIZE),
        ("6.9.1: a window beyond 2^31", vec![frame(WINDOW_UPDATE, 0, 0, &most)], FLOW_CONTROL),
        ("6.9.1: a stream's window beyond 2^31", vec![open(1), frame(WINDOW_UPDATE, 0, 1, &most)], STREAM_FLOW_CONTROL),
        ("6.9.2: a window of nothing, and then of something", vec![setting(4, 0), get(1), setting(4, 10)], ANSWERED),
        (
            "6.10: a head in two frames",
            vec![frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, second)],
            ANSWERED,
        ),
        (
            "6.10: a head in many frames",
            [
                vec![frame(HEADERS, END_STREAM, 1, first)],
                second.chunks(20).map(|part| frame(CONTINUATION, 0, 1, part)).collect(),
                vec![frame(CONTINUATION, END_HEADERS, 1, &[])],
            ]
            .concat(),
            ANSWERED,
        ),
        ("6.10: CONTINUATION of the connection", vec![no_end(1), frame(CONTINUATION, END_HEADERS, 0, &[])], PROTOCOL),
        (
            "6.10: CONTINUATION behind the end",
            vec![open(1), frame(CONTINUATION, END_HEADERS, 1, &block(&GET))],
            PROTOCOL,
        ),
        (
            "6.10: CONTINUATION behind DATA",
            vec![open(1), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, b"")],
            PROTOCOL,
        ),
        (
            "8.1: trailers that are not the end",
            vec![open(1), frame(HEADERS, END_HEADERS, 1, &block(&[("x", "y")]))],
            &[Outcome::Reset(1), Outcome::GoAway(1)],
        ),
        (
            // The `h2` crate leaves it out, and so the app does not get it.
            "8.1: trailers with a pseudo field",
            vec![open(1), frame(HEADERS, ENDS, 1, &block(&[(":path", "/b")]))],
            ANSWERED,
        ),
        (
            "8.1.1: less DATA than said",
            vec![head(END_HEADERS, 1, &[("content-length", "5")]), frame(DATA, END_STREAM, 1, b"hell")],
            MALFORMED,
        ),
        (
            "8.1.1: more DATA than said",
            vec![
                head(END_HEADERS, 1, &[("content-length", "5")]),
                frame(DATA, 0, 1, b"hell"),
                frame(DATA, END_STREAM, 1, b"ohello"),
            ],
            MALFORMED,
        ),
        ("8.1.1: no DATA where some was said", vec![head(ENDS, 1, &[("content-length", "5")])], MALFORMED),
    ]
}

/// Requests of these fields and no body, whose heads are wrong or are not.
fn requests() -> impl Iterator<Item = Case> {
    let added: &[(&str, &str, &[Outcome])] = &[
        ("X-Upper", "1", MALFORMED),
        ("x y", "1", MALFORMED),
        ("x:y", "1", MALFORMED),
        ("", "1", MALFORMED),
        ("x\r\ny", "1", MALFORMED),
        ("x\u{e9}", "1", MALFORMED),
        ("x", "a\0b", MALFORMED),
        ("x", "a\rb", MALFORMED),
        ("x", "a\nb", MALFORMED),
        ("x", "a\r\ntransfer-encoding: chunked", MALFORMED),
        ("connection", "keep-alive", MALFORMED),
        ("keep-alive", "timeout=5", MALFORMED),
        ("proxy-connection", "keep-alive", MALFORMED),
        ("transfer-encoding", "chunked", MALFORMED),
        ("transfer-encoding", "identity", MALFORMED),
        ("upgrade", "websocket", MALFORMED),
        ("te", "gzip", MALFORMED),
        ("te", "trailers, gzip", MALFORMED),
        ("te", "trailers", ANSWERED),
        (":unknown", "1", MALFORMED),
        (":status", "200", MALFORMED),
        (":method", "GET", MALFORMED),
        (":path", "/b", MALFORMED),
        (":scheme", "http", MALFORMED),
        (":authority", "other.test", MALFORMED),
        (":protocol", "websocket", MALFORMED),
        ("host", "shop.test", ANSWERED),
        ("host", "other.test", MALFORMED),
        ("content-length", "0", ANSWERED),
        ("content-length", "x", MALFORMED),
        ("content-length", "+0", MALFORMED),
        ("content-length", "0, 0", MALFORMED),
        ("content-length", "18446744073709551616", MALFORMED),
    ];
    let added = added.iter().map(|(name, value, expected)| {
        let wrong = [GET.as_slice(), &[(name, value)]].concat();
        (format!("8.2 and 8.3: {name:?}: {value:?}"), wrong, *expected)
    });
    let [method, scheme, path, authority] = GET;
    let other = [
        ("8.3: no method", vec![scheme, path, authority]),
        ("8.3: no scheme", vec![method, path, authority]),
        ("8.3: no path", vec![method, scheme, authority]),
        ("8.3: no host at all", vec![method, scheme, path]),
        ("8.3: nothing", vec![]),
        ("8.3: a pseudo field behind another", vec![method, scheme, ("x", "1"), path, authority]),
        ("8.3.1: an empty path", vec![method, scheme, (":path", ""), authority]),
        ("8.3.1: a path without its slash", vec![method, scheme, (":path", "a"), authority]),
        ("8.3.1: `*` for another method", vec![method, scheme, (":path", "*"), authority]),
        ("8.3.1: a whole address for a path", vec![method, scheme, (":path", "http://shop.test/a"), authority]),
        ("8.3.1: a path with a blank", vec![method, scheme, (":path", "/a HTTP/1.1"), authority]),
        ("8.3.1: a path with a line's end", vec![method, scheme, (":path", "/a\r\nx: 1"), authority]),
        ("8.3.1: a method that is none", vec![(":method", "G T"), scheme, path, authority]),
        ("8.3.1: a method with a line's end", vec![(":method", "GET / HTTP/1.1\r\n"), scheme, path, authority]),
        ("8.3.1: an empty host", vec![method, scheme, path, (":authority", "")]),
        ("8.3.1: somebody's name", vec![method, scheme, path, (":authority", "user@shop.test")]),
        ("8.3.1: two hosts", vec![method, scheme, path, (":authority", "shop.test, other.test")]),
        ("8.3.1: a host with a path", vec![method, scheme, path, (":authority", "shop.test/b")]),
        ("8.3.1: a host with a line's end", vec![method, scheme, path, (":authority", "shop.test\r\nx: 1")]),
        ("8.3.1: a host that is none", vec![method, scheme, path, ("host", "shop.test, other.test")]),
        (
            "8.3.1: two hosts beside each other",
            vec![method, scheme, path, ("host", "shop.test"), ("host", "shop.test")],
        ),
        ("8.3.1: another scheme", vec![method, (":scheme", "ftp"), path, authority]),
        ("8.3.1: a scheme that is none", vec![method, (":scheme", "http://x/?"), path, authority]),
        ("8.5: CONNECT with a path", vec![(":method", "CONNECT"), scheme, path, authority]),
    ];
    let other = other.into_iter().map(|(rule, fields)| (rule.to_owned(), fields, MALFORMED));
    let cases: Vec<_> = added
        .chain(other)
        .map(|(rule, fields, expected)| {
            let sent = [frame(SETTINGS, 0, 0, &[]), frame(HEADERS, ENDS, 1, &block(&fields))].concat();
            (rule, sent, expected)
        })
        .collect();
    cases.into_iter()
}

/// What is sent, what the app is asked, and lines that it gets.
pub(crate) fn translated() -> Vec<(Vec<u8>, &'static str, &'static [&'static str])> {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let body = frame(DATA, END_STREAM, 1, b"hello");
    vec![
        ([settings.clone(), get(1)].concat(), "GET /a ", &["host: shop.test"]),
        (
            [settings.clone(), head(END_HEADERS, 1, &[("content-length", "5")]), body.clone()].concat(),
            "GET /a hello",
            &["content-length: 5"],
        ),
        ([settings.clone(), open(1), body].concat(), "GET /a hello", &["transfer-encoding: chunked"]),
        (
            [
                settings.clone(),
                open(1),
                frame(DATA, 0, 1, b"hello"),
                frame(HEADERS, ENDS, 1, &block(&[("x-end", "1")])),
            ]
            .concat(),
            "GET /a hello",
            &["transfer-encoding: chunked"],
        ),
        (
            [settings, head(ENDS, 1, &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])].concat(),
            "GET /a ",
            &["cookie: a=1; b=2", "te: trailers", "connection: te"],
        ),
    ]
}
