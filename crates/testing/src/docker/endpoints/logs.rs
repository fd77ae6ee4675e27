//! What a container wrote, in frames of eight bytes and the line.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::{Path, Query, State, is_set};
use crate::docker::container::{LogEntry, Source};
use crate::docker::model::Model;
use crate::docker::refusal::Refusal;

struct Reader {
    id: String,
    /// The number of the next line.
    next: usize,
    wanted: Wanted,
    follow: bool,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    /// In seconds.
    since: i64,
}

pub(super) async fn stream(shared: State, id: Path, query: Query) -> Result<Response, Refusal> {
    let wanted = Wanted {
        stdout: is_set(&query, "stdout"),
        stderr: is_set(&query, "stderr"),
        timestamps: is_set(&query, "timestamps"),
        since: query.get("since").and_then(|since| since.split('.').next()?.parse().ok()).unwrap_or_default(),
    };
    if !wanted.stdout && !wanted.stderr {
        return Err(Refusal::bad_request("Bad parameters: you must choose at least one stream"));
    }
    let tail = query.get("tail").and_then(|lines| lines.parse::<usize>().ok());
    let (id, next) = shared.look(|model| {
        let container = model.container(&id)?;
        let fitting = (0..container.log.len()).filter(|index| wanted.fits(&container.log[*index]));
        let first = match tail {
            Some(0) => container.log.len(),
            Some(lines) => fitting.rev().nth(lines - 1).unwrap_or_default(),
            None => 0,
        };
        Ok((container.id.clone(), first))
    })?;
    let reader = Reader { id, next, wanted, follow: is_set(&query, "follow"), ended: false };
    let frames = stream::unfold((shared, reader), |(shared, mut reader)| async move {
        if reader.ended {
            return None;
        }
        let frames = shared.until(|model| reader.read(model)).await;
        Some((Ok::<_, std::convert::Infallible>(frames), (shared, reader)))
    });
    Ok(([("content-type", "application/vnd.docker.raw-stream")], Body::from_stream(frames)).into_response())
}

impl Reader {
    /// What there is; `None` while there may be more later.
    fn read(&mut self, model: &Model) -> Option<Bytes> {
        let container = model.containers.get(&self.id);
        let log = container.map(|container| container.log.as_slice()).unwrap_or_default();
        let new = log.get(self.next..).unwrap_or_default();
        let frames: Vec<u8> =
            new.iter().filter(|entry| self.wanted.fits(entry)).flat_map(|entry| self.wanted.frame(entry)).collect();
        self.next += new.len();
        self.ended = !self.follow || !container.is_some_and(|container| container.is_running());
        (self.ended || !frames.is_empty()).then(|| frames.into())
    }
}

impl Wanted {
    fn fits(self, entry: &LogEntry) -> bool {
        let from_there = match entry.source {
            Source::Stdout => self.stdout,
            Source::Stderr => self.stderr,
        };
        from_there && entry.at.as_second() >= self.since
    }

    fn frame(self, entry: &LogEntry) -> Vec<u8> {
        let time = if self.timestamps { format!("{} ", entry.at) } else { String::new() };
        let line = format!("{time}{}\n", entry.line);
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[entry.source as u8, 0, 0, 0], &length[..], line.as_bytes()].concat()
    }
}
