//! What is in an image: an app that serves, or behaves otherwise.

use std::time::Duration;

/// What an image's container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub(super) behaviour: Behaviour,
    pub(super) one_off: OneOff,
    pub(super) has_health_check: bool,
    serving: Vec<String>,
}

/// How the app lives when it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Well: `/up` answers 200, and everything else too.
    Healthy,
    /// It runs, but `/up` answers 503.
    NeverHealthy,
    /// It writes these lines and ends.
    ExitsAtBoot {
        /// With this status.
        code: i64,
        /// To stderr.
        lines: Vec<String>,
    },
    /// It serves well for so long and then ends with 1, each time that it is started.
    DiesAfter(Duration),
    /// It serves well once it has been started for so long.
    SlowStart(Duration),
    /// It serves well, and only `SIGKILL` ends it.
    IgnoresSignals,
}

/// What a container does that was given a command: something that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOff {
    /// How long it takes.
    pub time: Duration,
    /// What it writes to stdout, evenly over that time.
    pub lines: Vec<String>,
    pub code: i64,
}

impl Default for OneOff {
    /// Done at once and well.
    fn default() -> Self {
        Self { time: Duration::ZERO, lines: vec!["done".to_owned()], code: 0 }
    }
}

impl App {
    /// One that behaves like this. Its commands end at once and well.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        let serving = ["serve", "worker"].map(str::to_owned).into();
        Self { behaviour, one_off: OneOff::default(), has_health_check: false, serving }
    }

    /// One that does everything well.
    #[must_use]
    pub fn healthy() -> Self {
        Self::new(Behaviour::Healthy)
    }

    /// What a container of it does that has a command.
    #[must_use]
    pub fn one_off(self, one_off: OneOff) -> Self {
        Self { one_off, ..self }
    }

    /// A command that begins with this word does not end, but behaves as the app does without one. `serve` and `worker`
    /// do so anyway.
    #[must_use]
    pub fn serves_as(mut self, word: &str) -> Self {
        self.serving.push(word.to_owned());
        self
    }

    /// Its image has a `HEALTHCHECK` of its own.
    #[must_use]
    pub fn with_health_check(self) -> Self {
        Self { has_health_check: true, ..self }
    }

    /// Whether a container with this command serves.
    pub(super) fn serves(&self, command: Option<&[String]>) -> bool {
        match command.and_then(<[String]>::first) {
            Some(word) => self.serving.contains(word),
            None => true,
        }
    }
}
