//! The step's log. Lines that are commands to the runner are carried out; all others are shown, without what is masked.

use std::collections::BTreeMap;

/// What people see beside the code, and on the run's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) title: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Notice,
    Warning,
    Error,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Log {
    raw: Vec<String>,
    shown: Vec<String>,
    annotations: Vec<Annotation>,
    masks: Vec<String>,
    outputs: BTreeMap<String, String>,
    /// The word that makes the runner listen again.
    stopped: Option<String>,
}

/// The commands that the runner knows. All other words are text.
const COMMANDS: [&str; 14] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

struct Command {
    name: String,
    properties: BTreeMap<String, String>,
    data: String,
}

impl Log {
    /// The runner knows these secrets before the step begins.
    pub(super) fn hiding(secrets: &[String]) -> Self {
        let mut log = Self::default();
        for secret in secrets {
            log.mask(secret);
        }
        log
    }

    pub(super) fn read(&mut self, line: &str) {
        self.raw.push(line.to_owned());
        match (parse(line, self.stopped.as_deref()), &self.stopped) {
            (Some(command), Some(word)) if command.name.eq_ignore_ascii_case(word) => {
                self.stopped = None;
                self.show(line);
            }
            (Some(command), None) => self.carry_out(&command, line),
            (Some(_), Some(_)) | (None, _) => self.show(line),
        }
    }

    /// An error of the runner's own.
    pub(super) fn complain(&mut self, message: &str) {
        self.annotate(
            Level::Error,
            &Command { name: String::new(), properties: BTreeMap::new(), data: message.into() },
        );
    }

    pub(super) fn raw(&self) -> String {
        lines(&self.raw)
    }

    pub(super) fn shown(&self) -> String {
        lines(&self.shown)
    }

    pub(super) fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }

    pub(super) fn masks(&self) -> &[String] {
        &self.masks
    }

    /// Set by the command that GitHub has deprecated: nobody of ours does that, but who writes to our log may try.
    pub(super) const fn outputs(&self) -> &BTreeMap<String, String> {
        &self.outputs
    }

    pub(super) fn masked(&self, text: &str) -> String {
        self.masks.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn carry_out(&mut self, command: &Command, line: &str) {
        match command.name.to_ascii_lowercase().as_str() {
            "add-mask" => self.mask(&command.data),
            "stop-commands" => {
                let word = &command.data;
                assert!(!word.is_empty() && !COMMANDS.contains(&word.as_str()), "the runner refuses `{line}`");
                self.stopped = Some(word.clone());
                self.show(line);
            }
            "set-output" => {
                self.outputs.insert(command.properties["name"].clone(), command.data.clone());
                self.complain("The `set-output` command is deprecated");
            }
            "set-env" | "add-path" => self.complain(&format!("The `{}` command is disabled", command.name)),
            "error" => self.annotate(Level::Error, command),
            "warning" => self.annotate(Level::Warning, command),
            "notice" => self.annotate(Level::Notice, command),
            "group" => self.show(&format!("##[group]{}", command.data)),
            "endgroup" => self.show("##[endgroup]"),
            // Debug lines are shown to those who asked for them; the rest is for actions of another kind.
            _ => {}
        }
    }

    fn annotate(&mut self, level: Level, command: &Command) {
        let property = |name: &str| command.properties.get(name).map(|value| self.masked(value));
        let annotation = Annotation {
            level,
            message: self.masked(&command.data),
            title: property("title"),
            file: property("file"),
            line: property("line").map(|line| line.parse().expect("a line is a number")),
        };
        self.annotations.push(annotation);
        let word = match level {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        self.show(&format!("##[{word}]{}", command.data));
    }

    fn mask(&mut self, secret: &str) {
        let whole = secret.trim_end_matches(['\r', '\n']);
        for part in std::iter::once(whole).chain(whole.lines()) {
            if !part.trim().is_empty() && !self.masks.iter().any(|known| known == part) {
                self.masks.push(part.to_owned());
            }
        }
        // What contains another goes first, or the rest of it would be seen.
        self.masks.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    fn show(&mut self, line: &str) {
        self.shown.push(self.masked(line));
    }
}

/// `::name key=value,key=value::data` at a line's beginning, or in the older form `##[name key=value;key=value]data`
/// anywhere in it.
fn parse(line: &str, stopped: Option<&str>) -> Option<Command> {
    let known = |name: &str| COMMANDS.iter().copied().chain(stopped).any(|word| word.eq_ignore_ascii_case(name));
    let newer = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::"));
    let newer = newer.map(|(head, data)| command(head, data, ',', &DATA, &PROPERTY));
    let older = line.split_once("##[").and_then(|(_, rest)| rest.split_once(']'));
    let older = older.map(|(head, data)| command(head, data, ';', &OLDER, &OLDER));
    newer.filter(|it| known(&it.name)).or_else(|| older.filter(|it| known(&it.name)))
}

fn command(head: &str, data: &str, separator: char, in_data: &[Escape], in_properties: &[Escape]) -> Command {
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let pairs = properties.split(separator).filter_map(|pair| pair.trim_start().split_once('='));
    let properties = pairs.map(|(key, value)| (key.to_owned(), unescape(value, in_properties))).collect();
    Command { name: name.to_owned(), properties, data: unescape(data, in_data) }
}

type Escape = (&'static str, &'static str);
/// The percent sign comes last: what it escapes is text.
const DATA: [Escape; 3] = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
const PROPERTY: [Escape; 5] = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
const OLDER: [Escape; 5] = [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%")];

fn unescape(text: &str, escapes: &[Escape]) -> String {
    escapes.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Log {
        let mut log = Log::default();
        for line in lines {
            log.read(line);
        }
        log
    }

    #[test]
    fn an_annotation_has_its_place_and_its_text() {
        let log = read(&["::error file=windlass.toml,line=3,title=A%2C b::100%25 wrong%0Ahint: no", "::warning::mind"]);
        let place = Annotation {
            level: Level::Error,
            message: "100% wrong\nhint: no".into(),
            title: Some("A, b".into()),
            file: Some("windlass.toml".into()),
            line: Some(3),
        };
        let bare = Annotation { level: Level::Warning, message: "mind".into(), title: None, file: None, line: None };
        assert_eq!(log.annotations(), [place, bare]);
        assert_eq!(log.shown(), "##[error]100% wrong\nhint: no\n##[warning]mind\n");
    }

    #[test]
    fn what_is_masked_is_seen_before_and_not_after() {
        let log = read(&["it is hunter2", "::add-mask::hunter2", "it is hunter2", "::notice::hunter2"]);
        assert_eq!(log.shown(), "it is hunter2\nit is ***\n##[notice]***\n");
        assert_eq!(log.masks(), ["hunter2"]);
        assert!(log.raw().contains("::add-mask::hunter2\nit is hunter2\n"));
        assert_eq!(log.annotations()[0].message, "***");
    }

    #[test]
    fn a_stopped_runner_listens_to_its_word_only() {
        let log = read(&[
            "::stop-commands::word",
            "::error::text",
            "app ##[error]text",
            "::set-output name=release::66",
            "::word::",
            "  ::error::meant",
            "app ##[warning]meant too",
            "::set-output name=release::7",
            "::nothing::known",
        ]);
        let messages: Vec<&str> = log.annotations().iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, ["meant", "meant too", "The `set-output` command is deprecated"]);
        assert_eq!(log.outputs().get("release").map(String::as_str), Some("7"));
        assert!(log.shown().ends_with("::nothing::known\n"));
        assert!(log.shown().contains("::set-output name=release::66\n"));
    }
}
