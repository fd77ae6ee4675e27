//! Walks a parsed TOML document and collects every mistake with its place.

mod item;
mod size;
mod syntax;
mod table;
mod tree;
mod words;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use item::ConfigItem;
pub(super) use size::is_too_large;
pub(super) use table::{Misplaced, Table};
pub(super) use tree::{Node, Place, Value};
pub(super) use words::{
    absolute_path, check_variable, expect_schema, host_selector, is_identifier, is_loopback, label, ulimit, web_url,
    web_urls,
};

use crate::config::diagnostic::{ConfigError, Diagnostic, MOST};

/// Parses `text` and lets `body` read it; what `body` makes of it counts only if nobody reported a mistake.
pub(super) fn read<T>(
    file_name: &str,
    text: &str,
    body: impl FnOnce(&Reader, &Node) -> Option<T>,
) -> Result<T, ConfigError> {
    let (root, errors) = syntax::parse(text);
    let reader = Reader::default();
    let value = body(&reader, &root);
    let untold = reader.untold.into_inner().len();
    let found = reader.mistakes.into_inner().into_values().collect();
    let mut mistakes = if errors.is_empty() { found } else { syntax::keep_what_is_certain(text, errors, found) };
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => {
            mistakes.sort_by_key(|mistake| mistake.place.offset);
            let more = untold + mistakes.len().saturating_sub(MOST);
            mistakes.truncate(MOST);
            Err(ConfigError { file: file_name.to_owned(), diagnostics: locate(text, mistakes), more })
        }
    }
}

/// Where mistakes are reported to. Whoever reports one goes on reading, with a default in the place of what was wrong.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// By place and message: what several apps share is read once for each of them. Not more than [`KEPT`], the first.
    mistakes: RefCell<BTreeMap<(Place, String), Mistake>>,
    /// Where the others are: for their number.
    untold: RefCell<BTreeSet<(usize, About)>>,
    /// Where the last kept one is, once there are so many.
    full_from: Cell<Option<usize>>,
}

/// More than [`MOST`], since a file whose syntax is broken keeps only some of them.
const KEPT: usize = 200;

/// Characters of a message or a hint: both may quote what is written, which has any length.
const LONGEST: usize = 600;

/// A mistake before its place is counted in lines and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    place: Place,
    message: String,
    hint: Option<String>,
    about: About,
}

/// What a mistake can be traced to: a file whose syntax is broken has only some of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
        if self.is_beyond(place) {
            self.untold.borrow_mut().insert((place.offset, about));
            return;
        }
        let mistake = Mistake { place: place.clone(), message: cut(message.into()), hint: hint.map(cut), about };
        let key = (mistake.place.clone(), mistake.message.clone());
        let mut mistakes = self.mistakes.borrow_mut();
        mistakes.entry(key).or_insert(mistake);
        if mistakes.len() > KEPT
            && let Some((_, last)) = mistakes.pop_last()
        {
            self.untold.borrow_mut().insert((last.place.offset, last.about));
        }
        if mistakes.len() == KEPT {
            self.full_from.set(mistakes.last_key_value().map(|((place, _), _)| place.offset));
        }
    }

    /// Whether a mistake there is only counted, so that nobody need think of words for it.
    pub(super) fn is_beyond(&self, place: &Place) -> bool {
        self.full_from.get().is_some_and(|last| place.offset > last)
    }

    /// Takes over what was found with a stage's overlay in place, less what the file had already without it.
    pub(super) fn absorb(&self, stage: &str, overlaid: Reader) {
        let own = format!("stages.{stage}");
        self.untold.borrow_mut().extend(overlaid.untold.into_inner());
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

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Counts lines and columns of mistakes in their order, in one pass over the text.
fn locate(text: &str, mistakes: Vec<Mistake>) -> Vec<Diagnostic> {
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
