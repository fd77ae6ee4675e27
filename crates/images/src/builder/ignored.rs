//! `.dockerignore`: what of a build context is not sent. The rules are Docker's, which are not Git's: every pattern
//! begins at the context's root, the last one that matches a path or a folder above it decides, and `!` brings back
//! what an earlier one took, also from below an excluded folder.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::BuildError;

/// The patterns of one file.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    glob: GlobMatcher,
    text: String,
    effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Excludes,
    BringsBack,
}

/// Which patterns match a path or a folder above it.
#[derive(Debug, Clone)]
pub(super) struct Matches(Vec<bool>);

impl Ignored {
    /// `file` is only for messages.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, BuildError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
        let patterns = lines.map(|(line, pattern)| {
            Pattern::parse(pattern.trim()).map_err(|reason| BuildError::IgnorePattern {
                file: file.to_owned(),
                line,
                pattern: pattern.trim().to_owned(),
                reason,
            })
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// For the context's own folder, which no pattern matches.
    pub(super) fn root(&self) -> Matches {
        Matches(vec![false; self.patterns.len()])
    }

    /// For a path, relative to the context, given what matches the folder that it is in.
    pub(super) fn matches(&self, path: &Path, above: &Matches) -> Matches {
        let matches = self.patterns.iter().zip(&above.0);
        Matches(matches.map(|(pattern, above)| *above || pattern.glob.is_match(path)).collect())
    }

    pub(super) fn excludes(&self, matches: &Matches) -> bool {
        let mut matching = self.patterns.iter().zip(&matches.0).filter(|(_, matches)| **matches);
        matching.next_back().is_some_and(|(pattern, _)| pattern.effect == Effect::Excludes)
    }

    /// Whether something below an excluded folder might be brought back, so that it must be looked through.
    pub(super) fn may_bring_back_below(&self, folder: &Path) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.effect == Effect::BringsBack && may_match_below(&pattern.text, folder))
    }
}

/// A pattern that matches the folder itself, or one above it, need not be asked: it decides for all that is below.
fn may_match_below(pattern: &str, folder: &Path) -> bool {
    let mut names = folder.iter();
    for part in pattern.split('/') {
        let Some(name) = names.next() else { return true };
        if part.contains("**") {
            return true;
        }
        let literal = !part.contains(['*', '?', '[', '\\']);
        if literal && name != part {
            return false;
        }
    }
    false
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (effect, text) = match text.strip_prefix('!') {
            Some(text) => (Effect::BringsBack, text.trim()),
            None => (Effect::Excludes, text),
        };
        let text = cleaned(text);
        if text.is_empty() {
            return Err("it names nothing".to_owned());
        }
        let glob = GlobBuilder::new(&as_glob(&text)).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| error.kind().to_string())?.compile_matcher();
        Ok(Self { glob, text, effect })
    }
}

/// As Docker tidies up a path before it is a pattern: no `./`, no `a/../`, no slash at either end. `.` alone stays: it
/// names the root, which nothing below matches.
fn cleaned(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() && !text.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// In globset's language: braces mean nothing to Docker, and `**` crosses folders also in the middle of a name.
fn as_glob(text: &str) -> String {
    let parts = text.split('/').map(|part| {
        let part = part.replace('{', "[{]").replace('}', "[}]");
        if part == "**" { part } else { part.replace("**", "{*,*/**/*}") }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The file that counts: `<Dockerfile>.dockerignore` beside the Dockerfile, or else `.dockerignore` at the root.
pub(super) fn files(context: &Path, dockerfile: &Path) -> [PathBuf; 2] {
    let mut own = context.join(dockerfile).into_os_string();
    own.push(".dockerignore");
    [own.into(), context.join(".dockerignore")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &str, path: &str) -> bool {
        let ignored = Ignored::parse(Path::new(".dockerignore"), patterns).unwrap();
        let mut matches = ignored.root();
        let path = Path::new(path);
        let mut above: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        for path in above {
            matches = ignored.matches(path, &matches);
        }
        ignored.excludes(&matches)
    }

    /// Patterns, what they exclude, what they do not.
    const TABLE: &[(&str, &[&str], &[&str])] = &[
        ("", &[], &["a"]),
        ("# note\n\n  \n", &[], &["# note", "note"]),
        ("target", &["target", "target/debug/app"], &["src/target", "targets"]),
        ("/target/", &["target", "target/app"], &["src/target"]),
        ("./a/../b", &["b"], &["a"]),
        ("  b  ", &["b"], &["a"]),
        ("*.log", &["x.log", ".log"], &["logs/x.log", "x.logs"]),
        ("*/*.log", &["a/x.log"], &["x.log", "a/b/x.log"]),
        ("**/*.log", &["x.log", "a/x.log", "a/b/x.log"], &["x.logs"]),
        ("**.log", &["x.log", "a/b/x.log"], &["x.logs"]),
        ("a**z", &["az", "a/z", "abc/d/xz"], &["b/az"]),
        ("**/node_modules", &["node_modules/x", "a/node_modules/x/y"], &["node_modules2"]),
        ("docs/**", &["docs/a", "docs/a/b"], &["docs"]),
        ("a/**/z", &["a/z", "a/b/c/z"], &["z"]),
        ("**", &["a", "a/b"], &[]),
        (".", &[], &["a"]),
        ("../up", &[], &["up"]),
        ("a?c", &["abc"], &["ac", "a/c"]),
        ("[a-c]x", &["bx"], &["dx"]),
        ("\\*x", &["*x"], &["ax"]),
        ("{a,b}", &["{a,b}"], &["a", "b"]),
        ("*\n!src", &["a", "a/b", "docs/src"], &["src", "src/a/b"]),
        ("*\n!src/keep.txt", &["src/lose.txt", "src"], &["src/keep.txt"]),
        ("dir\n!dir/keep", &["dir/lose"], &["dir/keep", "dir/keep/below"]),
        ("!dir/keep\ndir", &["dir/keep"], &[]),
        ("*.md\n!README*.md\nREADME-secret.md", &["x.md", "README-secret.md"], &["README.md", "README-x.md"]),
        ("a\n! /a/b", &["a/c"], &["a/b"]),
        ("\u{feff}a\r\nb\r\n", &["a", "b"], &["c"]),
    ];

    #[test]
    fn patterns_mean_what_docker_means() {
        for (patterns, yes, no) in TABLE {
            for path in *yes {
                assert!(excluded(patterns, path), "{patterns:?} should exclude {path}");
            }
            for path in *no {
                assert!(!excluded(patterns, path), "{patterns:?} should not exclude {path}");
            }
        }
    }

    #[test]
    fn only_folders_that_may_hold_something_brought_back_are_looked_through() {
        let ignored = Ignored::parse(Path::new(".dockerignore"), "*\n!src/*/keep\n!*.md\n").unwrap();
        for (folder, expected) in
            [("src", true), ("src/a", true), ("docs", false), ("docs/a", false), ("src/a/b", false)]
        {
            assert_eq!(ignored.may_bring_back_below(Path::new(folder)), expected, "{folder}");
        }
        let ignored = Ignored::parse(Path::new(".dockerignore"), "*\n!src/keep\n").unwrap();
        assert!(ignored.may_bring_back_below(Path::new("src")));
        assert!(!ignored.may_bring_back_below(Path::new("node_modules")));
        assert!(!ignored.may_bring_back_below(Path::new("src/other")));
    }

    #[test]
    fn what_is_no_pattern_is_named_with_its_line() {
        for (text, expected) in [
            ("a\n!\n", ".dockerignore:2: `!` is not a pattern: it names nothing"),
            ("[a\n", ".dockerignore:1: `[a` is not a pattern: unclosed character class; missing ']'"),
        ] {
            assert_eq!(Ignored::parse(Path::new(".dockerignore"), text).unwrap_err().to_string(), expected);
        }
    }
}
