//! What clients send.

/// Each is refused with this status, and the connection closed.
pub(crate) fn refused() -> Vec<(u16, Vec<u8>)> {
    let heads = REFUSED.iter().map(|(status, sent)| (*status, sent.as_bytes().to_vec()));
    let fields = FIELDS.iter().map(|(status, fields)| {
        (*status, format!("POST /refused HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\nhello").into_bytes())
    });
    let bodies = CHUNKS.iter().map(|body| {
        let head = "POST /refused HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        (400, format!("{head}{body}").into_bytes())
    });
    let long = "x".repeat(70 * 1024);
    let many = "x: 1\r\n".repeat(101);
    let large = [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: shop.test\r\n\r\n")),
        (414, format!("{long} / HTTP/1.1\r\nHost: shop.test\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX: {long}\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{long}: x\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{many}\r\n")),
    ];
    let large = large.into_iter().map(|(status, sent)| (status, sent.into_bytes()));
    let bytes = NOT_TEXT.iter().map(|sent| (400, sent.to_vec()));
    heads.chain(fields).chain(bodies).chain(large).chain(bytes).collect()
}

/// Whole heads.
const REFUSED: &[(u16, &str)] = &[
    // The first line.
    (400, "GET / HTTP/2.0\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.2\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.10\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/0.9\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1 \r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\t\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1 HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET /\r\n\r\n"),
    (400, "GET\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET\t/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET /a b HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, " GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GE(T / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET: / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET /a#b HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET shop.test HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET shop.test:80 HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET ?a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET \\a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http:/a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http:///a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http://other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http://shop.test:80/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http://user@shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http://shop.test@other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET http://user@shop.test/ HTTP/1.0\r\n\r\n"),
    (405, "CONNECT /a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET ftp://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (405, "CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test:80\r\n\r\n"),
    // Lines.
    (400, "GET / HTTP/1.1\nHost: shop.test\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\r\n\n"),
    (400, "GET / HTTP/1.1\rHost: shop.test\r\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\r\nHost: shop.test\r\n\r\n"),
    (400, "\n\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "\r\n\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "\rGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n Host: shop.test\r\n\r\n"),
    // Hosts.
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n\r\n"),
    (400, "GET / HTTP/1.0\r\nHost: shop.test\r\nhost: other.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test, other.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test other.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: user@shop.test\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test/other\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\\other\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test?a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test#a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test:80:80\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test:x\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\r\n folded\r\n\r\n"),
    // Lengths where there is no body, and a version that knows no chunks.
    (400, "POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
];

/// Fields of a `POST` whose body is `hello`.
const FIELDS: &[(u16, &str)] = &[
    (400, "Content-Length: 5\r\nContent-Length: 6"),
    (400, "Content-Length: 5\r\nContent-Length: 5"),
    (400, "Content-Length: 5, 5"),
    (400, "Content-Length: 5,"),
    (400, "Content-Length: +5"),
    (400, "Content-Length: -5"),
    (400, "Content-Length: 0x5"),
    (400, "Content-Length: 5.0"),
    (400, "Content-Length: 5 5"),
    (400, "Content-Length: \"5\""),
    (400, "Content-Length:"),
    (400, "Content-Length: five"),
    (400, "Content-Length: ٥"),
    (400, "Content-Length: 18446744073709551616"),
    (400, "Content-Length: 99999999999999999999999999"),
    (400, "Content-Length : 5"),
    (400, "Content-Length\t: 5"),
    (400, " Content-Length: 5"),
    (400, "Content-Length\0: 5"),
    (400, "Content-Length: 5\0"),
    (400, "Content-Length: 5\r\n 0"),
    (400, "Content-Length: 5\rX: 1"),
    (400, "Content-Length: 5\u{b}"),
    (400, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    (400, "Transfer-Encoding: chunked\r\nContent-Length: 5"),
    (400, "Transfer-Encoding: chunked\r\nContent-Length: 0"),
    (501, "Transfer-Encoding: identity\r\nContent-Length: 5"),
    (501, "Transfer-Encoding: gzip"),
    (501, "Transfer-Encoding: gzip, chunked"),
    (501, "Transfer-Encoding: chunked, gzip"),
    (501, "Transfer-Encoding: chunked, chunked"),
    (501, "Transfer-Encoding: chunked, identity"),
    (501, "Transfer-Encoding: ,chunked"),
    (501, "Transfer-Encoding: chunked,"),
    (501, "Transfer-Encoding: xchunked"),
    (501, "Transfer-Encoding: chunked;q=1"),
    (501, "Transfer-Encoding: \"chunked\""),
    (501, "Transfer-Encoding: 'chunked'"),
    (501, "Transfer-Encoding: chunke\u{212a}"),
    (501, "Transfer-Encoding:"),
    (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    (501, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    (501, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
    (400, "Transfer-Encoding : chunked"),
    (400, "Transfer-Encoding\t: chunked"),
    (400, " Transfer-Encoding: chunked"),
    (400, "X: 1\r\n\tTransfer-Encoding: chunked"),
    (501, "Transfer-Encoding:\r\n chunked"),
    (400, "Transfer-Encoding: chunked\0"),
    (400, "Transfer-Encoding: \u{b}chunked"),
    (400, "Transfer-Encoding: chunked\rX: 1"),
    (400, "X: 1\nTransfer-Encoding: chunked"),
    (400, "X: 1\rTransfer-Encoding: chunked"),
    (400, "X: a\0b"),
    (400, "X: a\u{1}b"),
    (400, "X: a\u{7f}b"),
    (400, "X Y: 1"),
    (400, "X(Y): 1"),
    (400, "no colon"),
    (400, ": no name"),
];

/// Bodies that are none, of a request that is otherwise good.
const CHUNKS: &[&str] = &[
    "g\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    ";a\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;\0\r\nhello\r\n0\r\n\r\n",
    "5_0\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
];

/// What is no text at all.
const NOT_TEXT: &[&[u8]] = &[
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: shop\xff.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: shop.test\r\n\xff: 1\r\n\r\n",
    b"G\xc3\x89T / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
];

/// What is sent, the statuses it gets, and what reaches the app; the connection is closed behind it.
pub(crate) const BROKEN_LATER: &[(&str, &[u16], &[&str])] = &[
    (
        "GET /first HTTP/1.1\r\nHost: shop.test\r\n\r\nGET / HTTP/1.1\r\nHost : shop.test\r\n\r\n",
        &[200, 400],
        &["GET /first "],
    ),
    (
        "POST /first HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhelloX / HTTP/1.1\r\n\r\n",
        &[200, 400],
        &["POST /first hello"],
    ),
    (
        "POST /first HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello\n\n",
        &[200, 400],
        &["POST /first hello"],
    ),
    (
        "POST /first HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        &[200, 400],
        &["POST /first "],
    ),
    (
        "GET /first HTTP/1.1\r\nHost: shop.test\r\n\r\nPOST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: \
         gzip\r\n\r\n",
        &[200, 501],
        &["GET /first "],
    ),
    // They may say so themselves.
    ("GET /first HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", &[200], &["GET /first "]),
    ("GET /first HTTP/1.0\r\nHost: shop.test\r\n\r\n", &[200], &["GET /first "]),
];

/// What is sent, and what reaches the app; then the next request on the connection is answered.
pub(crate) const PASSED: &[(&str, &[&str])] = &[
    ("\r\nGET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["GET /a "]),
    ("GET /a HTTP/1.1\r\nhOsT:shop.test\r\n\r\n", &["GET /a "]),
    ("GET /a HTTP/1.1\r\nHost: \t shop.test \t \r\n\r\n", &["GET /a "]),
    ("GET /a HTTP/1.1\r\nHost: shop.test:8080\r\n\r\n", &["GET /a "]),
    ("GET http://shop.test/a?b HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["GET /a?b "]),
    ("GET HTTP://SHOP.test/a HTTP/1.1\r\nHost: shop.TEST\r\n\r\n", &["GET /a "]),
    ("GET https://shop.test?b HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["GET /?b "]),
    ("OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["OPTIONS * "]),
    ("get /a HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["get /a "]),
    ("GET /a?b=c://d&e=%23 HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["GET /a?b=c://d&e=%23 "]),
    ("GET /a HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n", &["GET /a "]),
    ("GET /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello", &["GET /a hello"]),
    ("DELETE /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n", &["DELETE /a "]),
    ("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 005\r\n\r\nhello", &["POST /a hello"]),
    ("POST /a HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["POST /a "]),
    ("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nGET ", &["POST /a GET "]),
    ("POST /a HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding:\tchunked \r\n\r\n0\r\n\r\n", &["POST /a "]),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: ChUnKeD\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        &["POST /a hello"],
    ),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\" ; c\r\nhello\r\n000\r\n\r\n",
        &["POST /a hello"],
    ),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000005\r\nhello\r\n0\r\n\r\n",
        &["POST /a hello"],
    ),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nA\r\n\r\n0\r\n\r\nllo\r\n0\r\n\r\n",
        &["POST /a he\r\n0\r\n\r\nllo"],
    ),
    ("GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n", &["GET /a ", "GET /b "]),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\nHost: \
         shop.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        &["POST /a abc", "POST /b d", "GET /c "],
    ),
    // The app does not change the protocol, and so what is behind is the next request.
    (
        "GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /b HTTP/1.1\r\nHost: \
         shop.test\r\n\r\n",
        &["GET /a ", "GET /b "],
    ),
    (
        "POST /a HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: \
         5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        &["POST /a hello", "GET /b "],
    ),
    (
        "GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \
         AAMAAABk\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        &["GET /a ", "GET /b "],
    ),
];

/// Fields of a `POST`, lines that the app gets, and how none of its lines begins.
pub(crate) const HEADERS: &[(&str, &[&str], &[&str])] = &[
    ("Connection: content-length", &["content-length: 5"], &["connection: content", "transfer-encoding"]),
    ("Connection: close, Content-Length\r\nConnection: host", &["content-length: 5", "host: shop.test"], &[]),
    ("Connection: transfer-encoding", &["content-length: 5"], &["transfer-encoding"]),
    (
        "Connection: x-forwarded-for, x-forwarded-host",
        &["x-forwarded-for: 127.0.0.1", "x-forwarded-host: shop.test"],
        &[],
    ),
    ("Connection: x-a\r\nX-A: 1\r\nX-B: 2", &["x-b: 2"], &["x-a:"]),
    ("Connection: \u{e9}, (, x-a\r\nX-A: 1", &[], &["x-a:", "connection"]),
    ("Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive", &[], &["keep-alive", "proxy-connection"]),
    ("TE: trailers, gzip", &[], &["te:"]),
    ("TE: trailers\r\nConnection: te", &["te: trailers", "connection: te"], &[]),
    ("Trailer: x-end", &["trailer: x-end"], &[]),
    (
        "Content_Length: 9\r\nTransfer_Encoding: chunked",
        &["content-length: 5"],
        &["content_length", "transfer_encoding"],
    ),
    ("X_Forwarded_For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.1", &["x-forwarded-for: 127.0.0.1"], &["x_forwarded"]),
    ("X_Other: 1\r\nX-Other: 2", &["x_other: 1", "x-other: 2"], &[]),
    ("X-Odd: a  b\r\nX-Empty:", &["x-odd: a  b", "x-empty: "], &[]),
    ("Upgrade: websocket", &[], &["upgrade"]),
    ("Expect: 100-continue", &["expect: 100-continue"], &[]),
];
