//! What others wrote, as text: apps, builds, servers. It moves no cursor, renames no window, and is no command to a runner
//! of GitHub Actions, which reads what a step prints.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::sync::LazyLock;

use windlass_core::plain::plain;

static ON_A_RUNNER: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"));

/// Whether standard output is a file or a pipe that no runner reads: there is nothing that an escape sequence could do.
pub(crate) fn go_as_they_are() -> bool {
    !*ON_A_RUNNER && !io::stdout().is_terminal()
}

/// As it may be printed for people. Line ends and tabs stay.
pub(crate) fn theirs(text: &str) -> Cow<'_, str> {
    let clean = |line| {
        let line = plain(line);
        if *ON_A_RUNNER { disarmed(line) } else { line }
    };
    if !text.contains('\n') {
        return clean(text);
    }
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    Cow::Owned(lines.join("\n"))
}

/// A command is `::name::` where a line begins, or `##[name]` anywhere in it. (actions/runner, `ActionCommand`)
fn disarmed(line: Cow<'_, str>) -> Cow<'_, str> {
    let begins = line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"));
    if !begins && !line.contains("##[") {
        return line;
    }
    let mut line = line.replace("##[", "## [");
    if begins && let Some(place) = line.find("::") {
        line.insert(place + 1, ' ');
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_109_what_an_app_wrote_does_nothing_to_a_terminal_or_a_runner() {
        assert_eq!(theirs("\u{1b}]0;mine\u{7}one\r\n\u{1b}[2Jtwo\tthree"), "one\ntwo\tthree");
        for (written, printed) in [
            ("::error::x", ": :error::x"),
            (" \t::set-env name=PATH::x", " \t: :set-env name=PATH::x"),
            ("text ##[set-env name=PATH]x", "text ## [set-env name=PATH]x"),
            ("::1 localhost", "::1 localhost"),
            ("a::b::c", "a::b::c"),
        ] {
            assert_eq!(disarmed(written.into()), printed);
        }
    }
}
