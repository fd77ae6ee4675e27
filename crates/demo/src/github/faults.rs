//! What goes wrong on demand.

use std::time::Duration;

use axum::http::Method;

/// A failure to answer with, instead of what would have been right.
#[derive(Debug, Clone)]
pub struct Failure {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) after_the_effect: bool,
    times: u32,
}

impl Failure {
    /// Answers once with this status, and changes nothing.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), after_the_effect: false, times: 1 }
    }

    /// As many times in a row.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// With a header too, as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Does what was asked first: the answer alone is lost, as when a proxy gives up.
    #[must_use]
    pub fn after_the_effect(self) -> Self {
        Self { after_the_effect: true, ..self }
    }
}

/// What a request meets before it is answered.
pub(super) enum Fault {
    Fail(Failure),
    Delay(Duration),
    Hang,
}

#[derive(Default)]
pub(super) struct Faults {
    failures: Vec<(Method, String, Failure)>,
    delays: Vec<(String, Duration)>,
    hangs: Vec<String>,
}

impl Faults {
    pub(super) fn fail(&mut self, method: Method, pattern: &str, failure: Failure) {
        self.failures.push((method, pattern.to_owned(), failure));
    }

    pub(super) fn delay(&mut self, pattern: &str, by: Duration) {
        self.delays.push((pattern.to_owned(), by));
    }

    pub(super) fn hang(&mut self, pattern: &str) {
        self.hangs.push(pattern.to_owned());
    }

    /// What this request meets, in the order it meets it. A failure is used up by it.
    pub(super) fn strike(&mut self, method: &Method, path: &str) -> Vec<Fault> {
        let mut met: Vec<Fault> =
            self.delays.iter().filter(|(pattern, _)| fits(pattern, path)).map(|(_, by)| Fault::Delay(*by)).collect();
        if self.hangs.iter().any(|pattern| fits(pattern, path)) {
            met.push(Fault::Hang);
        }
        if let Some((_, _, failure)) =
            self.failures.iter_mut().find(|(verb, pattern, _)| verb == method && fits(pattern, path))
        {
            failure.times = failure.times.saturating_sub(1);
            met.push(Fault::Fail(failure.clone()));
        }
        self.failures.retain(|(_, _, failure)| failure.times > 0);
        met
    }
}

/// Whether a pattern, in which `*` stands for any characters, is the whole path.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, after)) => path.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        assert!(fits("*/deployments", "/repos/acme/shop/deployments"));
        assert!(fits("*/deployments/*/statuses", "/repos/acme/shop/deployments/7/statuses"));
        assert!(!fits("*/deployments", "/repos/acme/shop/deployments/7/statuses"));
        assert!(!fits("/app", "/app/installations"));
    }
}
