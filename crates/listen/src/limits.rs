//! The bounds, with the defaults of both servers.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// hyper has room for so many without asking for memory.
const USUAL_FIELDS: usize = 100;
/// So much a client may send of one request before the app has read it,
const STREAM_WINDOW: u32 = 256 * 1024;
/// and of all requests on a connection.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// So much of an answer waits for its client.
const UNSENT: usize = 64 * 1024;

/// What clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all, where the process may open files enough for them.
    pub connections: usize,
    /// Files that one connection costs: a proxy opens another to whoever answers.
    pub files_per_connection: usize,
    /// From a connection's or a head's first byte to the head's end.
    pub head: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// The size of a head, and of what is buffered of a body. At least 8 KiB.
    pub head_bytes: usize,
    /// How many fields a head may have.
    pub fields: usize,
    /// Connections of one address; `None`: half of all.
    pub of_address: Option<usize>,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How many of them may be taken back before they were looked at.
    pub resets: usize,
    /// With a client that sends a body,
    pub body: Patience,
    /// and with one that reads an answer. The answer itself may take as long as it wants.
    pub answer: Patience,
}

/// How long clients may keep us waiting while they send or read. Only time in which nothing but the client was waited
/// for counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So long in all,
    pub grace: Duration,
    /// and longer by a second for each so many bytes that moved,
    pub bytes_per_second: u64,
    /// but so long at the most without a byte.
    pub stall: Duration,
}

impl Limits {
    /// For the service: few clients, small requests, one body of 25 MB now and then.
    #[must_use]
    pub fn service() -> Self {
        Self {
            connections: 4096,
            files_per_connection: 1,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            head_bytes: 32 * 1024,
            fields: USUAL_FIELDS,
            of_address: None,
            streams: 128,
            resets: 20,
            body: Patience {
                grace: Duration::from_secs(10),
                bytes_per_second: 16 * 1024,
                stall: Duration::from_secs(10),
            },
            answer: Patience { grace: Duration::from_secs(30), bytes_per_second: 1024, stall: Duration::from_secs(30) },
        }
    }

    /// For a gateway: many clients, on slow networks too. Idle connections are kept for longer than the 60 s that load
    /// balancers in front keep theirs, so that it is they who close.
    #[must_use]
    pub fn gateway() -> Self {
        Self {
            connections: 16 * 1024,
            files_per_connection: 2,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(65),
            head_bytes: 64 * 1024,
            fields: USUAL_FIELDS,
            of_address: None,
            streams: 128,
            resets: 20,
            body: Patience { grace: Duration::from_secs(30), bytes_per_second: 1024, stall: Duration::from_secs(30) },
            answer: Patience { grace: Duration::from_secs(60), bytes_per_second: 1024, stall: Duration::from_secs(60) },
        }
    }

    /// How many connections a process that may open so many files can hold: a quarter of the files is left for what else
    /// it opens.
    #[must_use]
    pub fn connections_with(&self, files: usize) -> usize {
        let left = files.saturating_sub((files / 4).max(64));
        self.connections.min(left / self.files_per_connection.max(1)).max(8)
    }

    /// hyper's own part of the bounds. How long a client keeps us waiting is looked after by [`Seats`](crate::Seats).
    #[must_use]
    pub fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.idle + self.head);
        builder.max_buf_size(self.head_bytes.max(8 * 1024));
        if self.fields > USUAL_FIELDS {
            builder.max_headers(self.fields);
        }
        builder
    }

    /// The same for HTTP/2. Of what a client does not read, or an app not yet, no more is kept than is said here.
    #[must_use]
    pub fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).enable_connect_protocol();
        builder.max_concurrent_streams(self.streams).max_pending_accept_reset_streams(self.resets);
        builder.max_local_error_reset_streams(self.resets);
        builder.max_header_list_size(u32::try_from(self.head_bytes).unwrap_or(u32::MAX));
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        builder.max_send_buf_size(UNSENT);
        builder
    }
}

/// How many files this process may open. Asks for as many as the system lets it have.
#[must_use]
pub fn open_files() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = if raised { maximum } else { current };
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}
