//! What apps say.

/// Each is a 502.
pub(crate) fn refused() -> Vec<Vec<u8>> {
    let long = "x".repeat(1 << 20);
    let many = "x: 1\r\n".repeat(1000);
    let large = [
        format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"),
        format!("HTTP/1.1 200 {long}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
    ];
    REFUSED.iter().map(|sent| sent.as_bytes().to_vec()).chain(large.map(String::into_bytes)).collect()
}

const REFUSED: &[&str] = &[
    "",
    "\r\n\r\n\r\n",
    "SSH-2.0-secret\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 abc secret\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: secret\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx : 1\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
];

/// What the client gets of it: status and body. `None`: it is cut off.
pub(crate) const PASSED: &[(&str, Option<(u16, &str)>)] = &[
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some((200, "ok"))),
    ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", Some((200, "ok"))),
    ("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", Some((200, "ok"))),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", Some((200, "ok"))),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\n\r\n", Some((200, "ok"))),
    ("HTTP/1.1 200 OK\r\n\r\nto its end", Some((200, "to its end"))),
    ("HTTP/1.0 200 OK\r\n\r\nto its end", Some((200, "to its end"))),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Some((200, "ok"))),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Some((200, "ok")),
    ),
    ("HTTP/1.1 404 Nothing here\r\ncontent-length: 0\r\n\r\n", Some((404, ""))),
    ("HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n", Some((999, ""))),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some((200, "ok"))),
    // They are cut off: an end that is none must not look like one.
    ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok\r\n0\r\n\r\n", None),
];
