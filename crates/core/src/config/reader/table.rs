//! A table with known keys while it is read.

use std::collections::BTreeMap;

use super::item::{ConfigItem, in_file_order};
use super::tree::{Node, Value, join};
use super::{About, Place, Reader};
use crate::quantity::Duration;

#[derive(Debug, Clone)]
pub(in crate::config) struct Table<'a> {
    pub reader: &'a Reader,
    node: &'a Node,
    fields: &'a BTreeMap<String, Node>,
    keys: Vec<&'static str>,
    /// Known keys that an unknown one was probably meant to be.
    misspelt: Vec<&'static str>,
}

/// Keys that belong elsewhere.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Misplaced {
    pub keys: &'static [&'static str],
    /// Completes the sentence "… belongs to".
    pub owner: &'static str,
}

impl<'a> Table<'a> {
    pub(super) fn open(
        item: ConfigItem<'a>,
        keys: &[&'static [&'static str]],
        other: Option<Misplaced>,
    ) -> Option<Self> {
        let Value::Table(fields) = &item.node.value else {
            item.mistyped("a table", None);
            return None;
        };
        let keys = keys.concat();
        let mut misspelt = Vec::new();
        let mut unknown: Vec<_> = fields.iter().filter(|(name, _)| !keys.contains(&name.as_str())).collect();
        unknown.sort_by_key(|(_, node)| node.key_offset);
        for (name, node) in unknown {
            if item.reader.is_beyond(&Place { offset: node.key_offset, key: String::new() }) {
                ConfigItem { node, ..item }.refuse_key("", None);
                continue;
            }
            misspelt.extend(nearest(name, keys.iter().copied()));
            let (message, hint) = match other {
                Some(Misplaced { keys, owner }) if keys.contains(&name.as_str()) => (
                    format!("`{name}` belongs to {owner}"),
                    format!(
                        "move it up, above `[{}]`: in TOML, a key belongs to the `[table]` before it",
                        item.node.place.key
                    ),
                ),
                _ => (format!("there is no key `{name}` here"), suggest(name, keys.iter().copied(), "known here")),
            };
            ConfigItem { node, ..item }.refuse_key(message, Some(hint));
        }
        Some(Self { reader: item.reader, node: item.node, fields, keys, misspelt })
    }

    pub(in crate::config) fn get(&self, key: &str) -> Option<ConfigItem<'a>> {
        debug_assert!(self.keys.contains(&key), "`{key}` is read but not among the known keys");
        self.fields.get(key).map(|node| ConfigItem { reader: self.reader, node })
    }

    /// As [`Table::get`], and reports a key that is not there.
    pub(in crate::config) fn require(&self, key: &str, hint: &str) -> Option<ConfigItem<'a>> {
        let item = self.get(key);
        if item.is_none() && !self.misspelt.contains(&key) {
            self.lacks(key, format!("`{key}` is missing"), hint);
        }
        item
    }

    /// Reports what is wrong with a key that is not there.
    pub(in crate::config) fn lacks(&self, key: &str, message: impl Into<String>, hint: &str) {
        let place = Place { offset: self.node.shown_at().offset, key: join(&self.node.place.key, key) };
        self.reader.report(About::Whole, &place, message, Some(hint.to_owned()));
    }

    /// Reports what is wrong with the table as a whole.
    pub(in crate::config) fn contradict(&self, message: impl Into<String>, hint: impl Into<String>) {
        ConfigItem { reader: self.reader, node: self.node }.contradict(message, hint);
    }

    /// The given keys that are there.
    pub(in crate::config) fn present(&self, keys: &[&str]) -> Vec<(&'a str, ConfigItem<'a>)> {
        let mut items = in_file_order(self.fields, ConfigItem { reader: self.reader, node: self.node });
        items.retain(|(name, _)| keys.contains(name));
        items
    }

    /// A length of time up to `most`; `default` when the key is left out.
    pub(in crate::config) fn duration_or(&self, key: &str, default: Duration, most: Duration) -> Duration {
        self.get(key).and_then(|item| item.duration(&default.to_string(), most)).unwrap_or(default)
    }

    /// A list of strings; empty when the key is left out.
    pub(in crate::config) fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).and_then(|item| item.list(|text| text.text().map(str::to_owned))).unwrap_or_default()
    }
}

/// The nearest known name, or all of them.
pub(super) fn suggest<'k>(found: &str, known: impl Iterator<Item = &'k str>, introduction: &str) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{introduction}: {}", known.join(", ")),
    }
}

/// No key is longer.
const LONGEST_KNOWN: usize = 32;

fn nearest<'k>(found: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if found.len() > 4 * LONGEST_KNOWN {
        return None;
    }
    let plain = found.to_lowercase().replace('_', "-");
    let distance = |name: &str| strsim::damerau_levenshtein(&plain, &name.to_lowercase());
    let most = |name: &str| (name.len() / 3).max(1);
    // One that is much longer or shorter is another word.
    let alike =
        known.filter(|name| name.len().abs_diff(plain.len()) <= plain.len() - plain.chars().count() + most(name));
    alike.min_by_key(|name| distance(name)).filter(|name| distance(name) <= most(name))
}
