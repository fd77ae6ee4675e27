//! The first half of reading: TOML to a tree, and what can still be said about a file that is not quite TOML.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::tree::Node;
use super::{About, Mistake, Place};

/// What could be read of the text, and the mistakes in its syntax.
pub(super) fn parse(text: &str) -> (Node, Vec<Mistake>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let (message, hint) = explain(error.message(), text.get(span.clone()).unwrap_or_default());
            let place = Place { offset: span.start, key: String::new() };
            Mistake { place, message, hint, about: About::Syntax }
        })
        .collect();
    (Node::root(table.get_ref()), errors)
}

/// The parser's words, less what only its author understands.
fn explain(message: &str, found: &str) -> (String, Option<String>) {
    let quoted = "string values must be quoted";
    if message.starts_with(quoted) && found.is_empty() {
        return ("the value is missing".to_owned(), None);
    }
    if message.starts_with(quoted) {
        let hint = "put it in quotes: \"…\"; only numbers, true and false go without";
        return ("a string must be quoted".to_owned(), Some(hint.to_owned()));
    }
    if message.starts_with("duplicate key") {
        let hint = "keep one of the two; TOML allows each key and each `[table]` once";
        return ("this key stands here a second time".to_owned(), Some(hint.to_owned()));
    }
    if message.starts_with("missing comma between array elements") {
        let hint = "write a `,` before this, or a `]` where the list ends";
        return ("the list goes on without a comma".to_owned(), Some(hint.to_owned()));
    }
    let message = message.trim_end_matches(", expected nothing");
    match message.split_once(", expected ") {
        Some((what, expected)) => (what.to_owned(), Some(format!("expected here: {expected}"))),
        None => (message.to_owned(), None),
    }
}

/// One mistake in the syntax per line, since the rest of a line is guesswork; and of the other mistakes those that
/// stay true however the syntax is mended.
pub(super) fn keep_what_is_certain(text: &str, mut errors: Vec<Mistake>, read: Vec<Mistake>) -> Vec<Mistake> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(offset, _)| offset).collect();
    let line = |mistake: &Mistake| ends.partition_point(|end| *end < mistake.place.offset);
    errors.sort_by_key(|error| error.place.offset);
    errors.dedup_by_key(|error| line(error));
    let first = errors.first().map_or(0, |error| error.place.offset);
    let broken: BTreeSet<usize> = errors.iter().map(line).collect();
    let certain = read.into_iter().filter(|mistake| match mistake.about {
        About::Syntax => true,
        About::Value => !broken.contains(&line(mistake)),
        About::Key => mistake.place.offset < first && !broken.contains(&line(mistake)),
        About::Whole => false,
    });
    errors.extend(certain);
    errors
}
