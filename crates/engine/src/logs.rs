//! What containers write, line by line.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::{Stream, StreamExt, stream};
use windlass_core::Timestamp;
use windlass_core::secrets::Masker;
use windlass_core::task::{LogLine, Stream as Source};

use crate::engine::Engine;
use crate::error::EngineError;

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Goes on until the container ends.
    pub follow: bool,
    /// Only so many of the last ones, to begin with. `None`: all.
    pub tail: Option<u64>,
    /// Only those from then on.
    pub since: Option<Timestamp>,
}

impl Engine {
    /// What the container wrote, without the secrets that the mask knows.
    pub fn logs(
        &self,
        name: &str,
        options: LogOptions,
        masker: &Masker,
    ) -> impl Stream<Item = Result<LogLine, EngineError>> + Send + Unpin + use<> {
        let request = LogsOptions {
            follow: options.follow,
            stdout: true,
            stderr: true,
            timestamps: true,
            // Docker knows whole seconds only; the rest of the way is gone below.
            since: options.since.and_then(|since| i32::try_from(since.as_second()).ok()).unwrap_or_default(),
            tail: options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
            ..Default::default()
        };
        let output = self.docker().logs(name, Some(request));
        let reader = Reader {
            engine: self.clone(),
            name: name.to_owned(),
            masker: masker.clone(),
            since: options.since,
            output: Box::pin(output),
            joiner: Joiner::default(),
            ready: VecDeque::new(),
            ended: false,
        };
        Box::pin(stream::unfold(reader, |mut reader| async move {
            let line = reader.next().await?;
            Some((line, reader))
        }))
    }
}

struct Reader<S> {
    engine: Engine,
    name: String,
    masker: Masker,
    since: Option<Timestamp>,
    output: std::pin::Pin<Box<S>>,
    joiner: Joiner,
    ready: VecDeque<LogLine>,
    ended: bool,
}

impl<S: Stream<Item = Result<LogOutput, bollard::errors::Error>>> Reader<S> {
    async fn next(&mut self) -> Option<Result<LogLine, EngineError>> {
        loop {
            if let Some(mut line) = self.ready.pop_front() {
                if self.since.is_some_and(|since| line.at < since) {
                    continue;
                }
                line.line = self.masker.mask(&line.line).into_owned();
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            match self.output.next().await {
                Some(Ok(output)) => self.ready.extend(self.joiner.take(&output)),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(self.engine.container_error("read the log of", &self.name, &error)));
                }
                None => {
                    self.ended = true;
                    self.ready.extend(self.joiner.rest());
                }
            }
        }
    }
}

/// Docker cuts long lines into pieces, each with a time of its own; the two streams' pieces may alternate.
#[derive(Debug, Default)]
struct Joiner {
    stdout: Option<Begun>,
    stderr: Option<Begun>,
}

/// A line whose end has not come. Bytes, since Docker cuts in the middle of letters too.
#[derive(Debug)]
struct Begun {
    at: Timestamp,
    stream: Source,
    bytes: Vec<u8>,
}

/// What a line has beyond that is dropped: a stream without line ends must not fill the memory, and to split it could cut
/// a secret in two.
const LONGEST_LINE: usize = 256 << 10;

impl Joiner {
    /// Gives a line back when this piece ends one.
    fn take(&mut self, output: &LogOutput) -> Option<LogLine> {
        // A terminal has one stream for both.
        let (stream, begun) = match output {
            LogOutput::StdErr { .. } => (Source::Stderr, &mut self.stderr),
            LogOutput::StdOut { .. } | LogOutput::Console { .. } | LogOutput::StdIn { .. } => {
                (Source::Stdout, &mut self.stdout)
            }
        };
        let (at, bytes) = split_time(output.as_ref());
        let (bytes, ends) = match bytes.strip_suffix(b"\n") {
            Some(bytes) => (bytes, true),
            None => (bytes, false),
        };
        let line = begun.get_or_insert_with(|| Begun { at, stream, bytes: Vec::new() });
        let room = LONGEST_LINE.saturating_sub(line.bytes.len());
        line.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if ends { begun.take().map(Begun::whole) } else { None }
    }

    /// What was written last without a line's end.
    fn rest(&mut self) -> impl Iterator<Item = LogLine> + use<> {
        self.stdout.take().into_iter().chain(self.stderr.take()).map(Begun::whole)
    }
}

impl Begun {
    fn whole(self) -> LogLine {
        let Self { at, stream, bytes } = self;
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        LogLine { at, stream, line: String::from_utf8_lossy(bytes).into_owned() }
    }
}

fn split_time(bytes: &[u8]) -> (Timestamp, &[u8]) {
    let place = bytes.iter().position(|byte| *byte == b' ');
    let parsed = place.and_then(|place| {
        let (time, rest) = bytes.split_at(place);
        Some((std::str::from_utf8(time).ok()?.parse().ok()?, &rest[1..]))
    });
    parsed.unwrap_or((Timestamp::UNIX_EPOCH, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    fn err(text: &str) -> LogOutput {
        LogOutput::StdErr { message: text.to_owned().into() }
    }

    #[test]
    fn pieces_of_a_line_are_joined_per_stream() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(&out("2026-11-21T22:00:00.000000001Z one ")), None);
        let error = joiner.take(&err("2026-11-21T22:00:01.000000000Z oops\n")).unwrap();
        assert_eq!((error.line.as_str(), error.stream), ("oops", Source::Stderr));
        let line = joiner.take(&out("2026-11-21T22:00:02.000000000Z line\n")).unwrap();
        assert_eq!((line.line.as_str(), line.stream), ("one line", Source::Stdout));
        assert_eq!(line.at, "2026-11-21T22:00:00.000000001Z".parse().unwrap());
    }

    #[test]
    fn a_letter_that_was_cut_in_two_is_whole_again() {
        let mut joiner = Joiner::default();
        let piece = |bytes: &[u8]| LogOutput::StdOut { message: [b"2026-11-21T22:00:00Z ", bytes].concat().into() };
        let (begin, end) = "gr\u{fc}n\n".as_bytes().split_at(3);
        assert_eq!(joiner.take(&piece(begin)), None);
        assert_eq!(joiner.take(&piece(end)).unwrap().line, "gr\u{fc}n");
        assert_eq!(joiner.take(&piece(b"no \xff text\n")).unwrap().line, "no \u{fffd} text");
    }

    #[test]
    fn a_last_line_without_an_end_is_not_lost() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(&out("2026-11-21T22:00:00Z panicked")), None);
        let rest: Vec<LogLine> = joiner.rest().collect();
        assert_eq!(rest.iter().map(|line| line.line.as_str()).collect::<Vec<_>>(), ["panicked"]);
    }

    #[test]
    fn a_terminals_line_ends_are_taken_off_and_empty_lines_stay() {
        let mut joiner = Joiner::default();
        let console = |text: &str| LogOutput::Console { message: text.to_owned().into() };
        assert_eq!(joiner.take(&console("2026-11-21T22:00:00Z hello\r\n")).unwrap().line, "hello");
        assert_eq!(joiner.take(&console("2026-11-21T22:00:00Z \r\n")).unwrap().line, "");
    }
}
