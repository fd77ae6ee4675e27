//! What BuildKit tells of a build, turned into events that read as a log.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::grpc::build::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};

use super::diagnosis;

/// How the steps begin that fetch a cache. One that is not there yet fails its step, and not the build.
const FETCHES: &str = "importing cache manifest";

/// How the steps begin that keep a cache.
const KEEPS: [&str; 2] = ["exporting cache", "exporting to GitHub Actions Cache"];

/// How many lines of each step are kept for the case that it fails.
const KEPT_LINES: usize = 30;

/// Something happened. Steps run side by side; each has a number of its own. Secrets in lines are not masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step began.
    StepStarted {
        /// Its number, from 1, in the order in which steps begin.
        step: u32,
        /// As BuildKit calls it: `[2/4] RUN npm ci`.
        name: String,
    },
    /// It wrote a line.
    Log {
        step: u32,
        /// Without its end.
        line: String,
    },
    /// It is done.
    StepDone {
        step: u32,
        /// Whether it was taken from the cache instead of being run.
        cached: bool,
        /// How long it took.
        time: Duration,
    },
    /// It failed, or was given up because another one did.
    StepFailed {
        step: u32,
        /// In BuildKit's words.
        reason: String,
    },
    /// A BuildKit of its own is started, for caches that the one inside of the engine cannot do.
    BuilderStarting { image: String },
    /// A cache is not used or not kept, and the build goes on without.
    CacheLost {
        /// In whose words it may be.
        reason: String,
    },
}

/// The step because of which a build failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedStep {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) log: Vec<String>,
}

/// Follows one build.
#[derive(Debug, Default)]
pub(super) struct BuildProgress {
    /// By BuildKit's digest.
    steps: HashMap<String, BuildStep>,
    failed: Option<FailedStep>,
}

#[derive(Debug)]
struct BuildStep {
    number: u32,
    name: String,
    ended: bool,
    /// By output: what has no end yet.
    open: [Vec<u8>; 2],
    last_lines: VecDeque<String>,
}

impl BuildProgress {
    pub(super) fn apply(&mut self, status: StatusResponse, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        for vertex in status.vertexes.iter().filter(|vertex| vertex.started.is_some()) {
            self.begin(vertex, tell);
        }
        // A step's last lines come before or with the word that it is done.
        for log in &status.logs {
            self.log(log, tell);
        }
        for vertex in status.vertexes.into_iter().filter(|vertex| vertex.completed.is_some()) {
            self.end(vertex, tell);
        }
    }

    /// The first step that failed by itself.
    pub(super) fn into_failed(self) -> Option<FailedStep> {
        self.failed
    }

    fn begin(&mut self, vertex: &Vertex, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        if self.steps.contains_key(&vertex.digest) {
            return;
        }
        let number = u32::try_from(self.steps.len()).unwrap_or(u32::MAX).saturating_add(1);
        let name = vertex.name.clone();
        tell(BuildEvent::StepStarted { step: number, name: name.clone() });
        let step = BuildStep { number, name, ended: false, open: Default::default(), last_lines: VecDeque::new() };
        self.steps.insert(vertex.digest.clone(), step);
    }

    fn log(&mut self, log: &VertexLog, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        let Some(step) = self.steps.get_mut(&log.vertex) else { return };
        let output = usize::from(log.stream == 2);
        step.open[output].extend_from_slice(&log.msg);
        while let Some(end) = step.open[output].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = step.open[output].drain(..=end).collect();
            step.line(&line, tell);
        }
    }

    fn end(&mut self, vertex: Vertex, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        // BuildKit looks at some steps twice; the second time means nothing to people.
        let Some(step) = self.steps.get_mut(&vertex.digest).filter(|step| !step.ended) else { return };
        step.ended = true;
        for rest in std::mem::take(&mut step.open) {
            if !rest.is_empty() {
                step.line(&rest, tell);
            }
        }
        if vertex.error.is_empty() {
            tell(BuildEvent::StepDone { step: step.number, cached: vertex.cached, time: time(&vertex) });
            return;
        }
        let given_up = vertex.error.contains("context canceled");
        let fetches = step.name.starts_with(FETCHES);
        let keeps = KEEPS.iter().any(|name| step.name.starts_with(name));
        let reason = if fetches || keeps { diagnosis::of_cache(&vertex.error) } else { vertex.error };
        if !given_up && !fetches && !keeps && self.failed.is_none() {
            let log = step.last_lines.iter().cloned().collect();
            self.failed = Some(FailedStep { name: step.name.clone(), reason: reason.clone(), log });
        }
        tell(BuildEvent::StepFailed { step: step.number, reason: reason.clone() });
        if keeps && !given_up {
            tell(BuildEvent::CacheLost { reason });
        }
    }
}

impl BuildStep {
    fn line(&mut self, line: &[u8], tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        let line = String::from_utf8_lossy(line);
        // Of a progress bar, what it said last.
        let line = line.trim_end_matches(['\r', '\n']).rsplit('\r').next().unwrap_or_default().to_owned();
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        tell(BuildEvent::Log { step: self.number, line });
    }
}

fn time(vertex: &Vertex) -> Duration {
    let nanos = |seconds: i64, nanos: i32| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let started = vertex.started.as_ref().map(|time| nanos(time.seconds, time.nanos));
    let completed = vertex.completed.as_ref().map(|time| nanos(time.seconds, time.nanos));
    let taken = completed.zip(started).and_then(|(completed, started)| u64::try_from(completed - started).ok());
    taken.map(Duration::from_nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &[u8], stream: i64) -> VertexLog {
        VertexLog { vertex: "a".to_owned(), timestamp: None, stream, msg: text.to_owned() }
    }

    fn vertex(error: &str) -> Vertex {
        Vertex {
            digest: "a".to_owned(),
            name: "[1/1] RUN a".to_owned(),
            error: error.to_owned(),
            started: Some(Default::default()),
            ..Default::default()
        }
    }

    fn apply(statuses: Vec<StatusResponse>) -> (Vec<BuildEvent>, Option<FailedStep>) {
        let mut events = Vec::new();
        let mut progress = BuildProgress::default();
        for status in statuses {
            progress.apply(status, &mut |event| events.push(event));
        }
        (events, progress.into_failed())
    }

    fn line(line: &str) -> BuildEvent {
        BuildEvent::Log { step: 1, line: line.to_owned() }
    }

    #[test]
    fn lines_are_put_together_and_come_before_the_end_of_their_step() {
        let mut done = vertex("");
        done.completed.clone_from(&done.started);
        done.completed.as_mut().unwrap().nanos = 250_000_000;
        let first = StatusResponse {
            vertexes: vec![vertex("")],
            logs: vec![log(b"one\nt", 1), log(b"error", 2), log(b"wo\r\n 10%\r100%\n\xff\n", 1)],
            ..Default::default()
        };
        let second = StatusResponse { vertexes: vec![done.clone()], logs: vec![log(b" end", 2)], ..Default::default() };
        let again = StatusResponse { vertexes: vec![done], ..Default::default() };
        let (events, failed) = apply(vec![first, second, again]);
        let started = BuildEvent::StepStarted { step: 1, name: "[1/1] RUN a".to_owned() };
        let ended = BuildEvent::StepDone { step: 1, cached: false, time: Duration::from_millis(250) };
        let expected = [started, line("one"), line("two"), line("100%"), line("\u{fffd}"), line("error end"), ended];
        assert_eq!(events, expected);
        assert_eq!(failed, None);
    }

    #[test]
    fn the_last_lines_of_the_step_that_failed_by_itself_are_kept() {
        let mut given_up = vertex("context canceled");
        given_up.digest = "b".to_owned();
        given_up.completed = Some(Default::default());
        let mut failed = vertex("exit code: 1");
        failed.completed = Some(Default::default());
        let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
        let logs = vec![log(lines.as_bytes(), 1)];
        let status = StatusResponse { vertexes: vec![given_up, failed], logs, ..Default::default() };
        let failed = apply(vec![status]).1.unwrap();
        assert_eq!((failed.name.as_str(), failed.reason.as_str()), ("[1/1] RUN a", "exit code: 1"));
        assert_eq!((failed.log.len(), failed.log[0].as_str(), failed.log[29].as_str()), (30, "70", "99"));
    }

    #[test]
    fn a_cache_that_is_not_there_is_not_why_a_build_failed() {
        let mut cache = vertex("not found");
        cache.name = "importing cache manifest from a/b".to_owned();
        cache.completed = Some(Default::default());
        let (events, failed) = apply(vec![StatusResponse { vertexes: vec![cache], ..Default::default() }]);
        assert_eq!(events[1..], [BuildEvent::StepFailed { step: 1, reason: "not found".to_owned() }]);
        assert_eq!(failed, None);
    }

    #[test]
    fn a_cache_that_cannot_be_kept_is_told_in_a_line_without_its_signed_address() {
        for name in KEEPS {
            let mut cache = vertex(
                "Put \"https://a.example.com/b?sig=hunter2\": refused\n--------\nRESPONSE 403: https://a?sig=hunter2",
            );
            cache.name = format!("{name} to registry");
            cache.completed = Some(Default::default());
            let (events, failed) = apply(vec![StatusResponse { vertexes: vec![cache], ..Default::default() }]);
            let reason = "Put \"https://a.example.com/b?\": refused; RESPONSE 403: https://a?".to_owned();
            let expected =
                [BuildEvent::StepFailed { step: 1, reason: reason.clone() }, BuildEvent::CacheLost { reason }];
            assert_eq!(events[1..], expected);
            assert_eq!(failed, None);
        }
    }
}
