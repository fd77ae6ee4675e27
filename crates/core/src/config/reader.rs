//! Walks a parsed TOML document and collects every mistake with its place.

mod item;
mod syntax;
mod table;
mod tree;
mod words;

use std::cell::RefCell;
use std::collections::BTreeMap;

pub(super) use item::Item;
pub(super) use table::{Misplaced, Table};
pub(super) use tree::{Node, Place};
pub(super) use words::{
    absolute_path, check_variable, expect_schema, host_selector, is_identifier, is_loopback, label, web_url, web_urls,
};

use crate::config::{ConfigError, Diagnostic};

/// Parses `text` and lets `body` read it; what `body` makes of it counts only if nobody reported a mistake.
pub(super) fn read<T>(
    file_name: &str,
    text: &str,
    body: impl FnOnce(&Reader, &Node) -> Option<T>,
) -> Result<T, ConfigError> {
    let (root, errors) = syntax::parse(text);
    let reader = Reader::default();
    let value = body(&reader, &root);
    let found = reader.mistakes.into_inner().into_values().collect();
    let mistakes = if errors.is_empty() { found } else { syntax::keep_what_is_certain(text, errors, found) };
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => Err(ConfigError { file: file_name.to_owned(), diagnostics: locate(text, mistakes) }),
    }
}

/// Where mistakes are reported to. Whoever reports one goes on reading, with a default in the place of what was wrong.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// By place and message: what several apps share is read once for each of them.
    mistakes: RefCell<BTreeMap<(Place, String), Mistake>>,
}

/// A mistake before its place is counted in lines and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    place: Place,
    message: String,
    hint: Option<String>,
    about: About,
}

/// What a mistake can be traced to: a file whose syntax is broken has only some of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The syntax itself.
    Syntax,
    /// A value that is there.
    Value,
    /// A key that should not be there, or not in this table.
    Key,
    /// Something that is missing, or several keys together.
    Whole,
}

impl Reader {
    pub(super) fn report(&self, about: About, place: &Place, message: impl Into<String>, hint: Option<String>) {
        let mistake = Mistake { place: place.clone(), message: message.into(), hint, about };
        let key = (mistake.place.clone(), mistake.message.clone());
        self.mistakes.borrow_mut().entry(key).or_insert(mistake);
    }

    /// Takes over what was found with a stage's overlay in place, less what the file had already without it.
    pub(super) fn absorb(&self, stage: &str, overlaid: Reader) {
        let own = format!("stages.{stage}");
        for (key, mistake) in overlaid.mistakes.into_inner() {
            if self.mistakes.borrow().contains_key(&key) {
                continue;
            }
            let in_overlay =
                mistake.place.key.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            let message = match in_overlay {
                true => mistake.message,
                false => format!("on stage `{stage}`: {}", mistake.message),
            };
            self.report(mistake.about, &mistake.place, message, mistake.hint);
        }
    }
}

/// Counts lines and columns, in one pass over the text.
fn locate(text: &str, mut mistakes: Vec<Mistake>) -> Vec<Diagnostic> {
    mistakes.sort_by_key(|mistake| mistake.place.offset);
    let mut characters = text.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    mistakes
        .into_iter()
        .map(|Mistake { place, message, hint, .. }| {
            while let Some((_, character)) = characters.next_if(|(offset, _)| *offset < place.offset) {
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            Diagnostic { line, column, key: place.key, message, hint }
        })
        .collect()
}
