//! One mistake in a configuration file, and all of them together.

use std::fmt;

/// So many mistakes are told.
pub const MOST: usize = 50;

/// One mistake: where, which key, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key's full path, `roles.web.port`; empty for a mistake in the file's syntax.
    pub key: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The mistakes of one file, in the order of their places: all of them, or the first [`MOST`] and their number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file's name, as the reader knows it.
    pub file: String,
    /// At least one, and not more than anybody reads.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for ConfigError {
    /// One block per mistake: `windlass.toml:3:8: roles.web.port: …`, and its hint on a line of its own.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{}:{}:{}: ", self.file, diagnostic.line, diagnostic.column)?;
            if !diagnostic.key.is_empty() {
                write!(formatter, "{}: ", diagnostic.key)?;
            }
            write!(formatter, "{}", diagnostic.message)?;
            if let Some(hint) = &diagnostic.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        match self.more {
            0 => {}
            1 => write!(formatter, "\n{}: and 1 more mistake", self.file)?,
            more => write!(formatter, "\n{}: and {more} more mistakes", self.file)?,
        }
        Ok(())
    }
}
