//! One value while it is read: each method either gives what was asked for or reports why it cannot.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::table::{Misplaced, Table, suggest};
use super::tree::{Node, Value};
use super::{About, Reader};
use crate::exec;
use crate::quantity::{Duration, Memory};
use crate::spelling::Spelled;

/// Of one list. Items are compared with one another.
const MOST_ITEMS: usize = 5_000;

/// No machine has more.
const MOST_MEMORY: Memory = Memory(64 << 40);

#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct ConfigItem<'a> {
    pub reader: &'a Reader,
    pub node: &'a Node,
}

impl<'a> ConfigItem<'a> {
    /// Reports that the value is not one that is allowed here.
    pub(in crate::config) fn refuse(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.report(About::Value, &self.node.shown_at(), message, Some(hint.into()));
    }

    /// Reports that the value does not go together with what stands elsewhere.
    pub(in crate::config) fn contradict(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.report(About::Whole, &self.node.shown_at(), message, Some(hint.into()));
    }

    /// Reports that the value is of another type. Never shows the value: it may be a secret in the wrong place.
    pub(in crate::config) fn mistyped(&self, expected: &str, hint: Option<String>) {
        let found = match self.node.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        };
        let message = format!("expected {expected}, found {found}");
        self.reader.report(About::Value, &self.node.shown_at(), message, hint);
    }

    fn is_scalar(&self) -> bool {
        matches!(self.node.value, Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date)
    }

    pub(in crate::config) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(in crate::config) fn is_empty_table(&self) -> bool {
        matches!(&self.node.value, Value::Table(fields) if fields.is_empty())
    }

    pub(in crate::config) fn is_table(&self) -> bool {
        matches!(self.node.value, Value::Table(_))
    }

    pub(in crate::config) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    pub(in crate::config) fn is_string(&self) -> bool {
        matches!(self.node.value, Value::String(_))
    }

    /// The value under this name, if this is a table that has it.
    pub(super) fn field(&self, name: &str) -> Option<ConfigItem<'a>> {
        match &self.node.value {
            Value::Table(fields) => fields.get(name).map(|node| ConfigItem { node, ..*self }),
            _ => None,
        }
    }

    /// How many names it has, if it is a table.
    pub(super) fn fields(&self) -> usize {
        if let Value::Table(fields) = &self.node.value { fields.len() } else { 0 }
    }

    /// What its values come to.
    pub(super) fn each(&self, number: impl Fn(ConfigItem<'a>) -> usize) -> usize {
        match &self.node.value {
            Value::Table(fields) => fields.values().map(|node| number(ConfigItem { node, ..*self })).sum(),
            _ => 0,
        }
    }

    pub(in crate::config) fn is(&self, text: &str) -> bool {
        matches!(&self.node.value, Value::String(found) if found == text)
    }

    pub(in crate::config) fn string(&self) -> Option<&'a str> {
        self.string_or("a string", self.is_scalar().then(|| "put it in quotes: \"…\"".to_owned()))
    }

    fn string_or(&self, expected: &str, hint: Option<String>) -> Option<&'a str> {
        if let Value::String(text) = &self.node.value {
            return Some(text);
        }
        self.mistyped(expected, hint);
        None
    }

    /// A string that says something.
    pub(in crate::config) fn text(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() || text.contains('\0') {
            let message = if text.is_empty() { "the string is empty" } else { "the string contains a NUL character" };
            self.refuse(message, "write a value, or leave the key out");
            return None;
        }
        Some(text)
    }

    /// A string that means something.
    pub(in crate::config) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.parse(self.string()?)
    }

    /// A length of time, such as `example`, up to `most`.
    pub(in crate::config) fn duration(&self, example: &str, most: Duration) -> Option<Duration> {
        let duration: Duration = self.quantity(example)?;
        if duration > most {
            self.refuse(format!("{duration} is out of range"), format!("write a duration of at most {most}"));
            return None;
        }
        Some(duration)
    }

    /// An amount of memory, such as `example`, of at least `least`.
    pub(in crate::config) fn memory(&self, example: &str, least: Memory) -> Option<Memory> {
        self.within(self.quantity(example)?, least)
    }

    /// The same where it is only a part of the text.
    pub(in crate::config) fn memory_in(&self, text: &str, least: Memory) -> Option<Memory> {
        self.within(self.parse(text)?, least)
    }

    fn within(&self, memory: Memory, least: Memory) -> Option<Memory> {
        if (least..=MOST_MEMORY).contains(&memory) {
            return Some(memory);
        }
        self.refuse(format!("{memory} is out of range"), format!("write a size from {least} to {MOST_MEMORY}"));
        None
    }

    /// A number with a unit, `example`.
    fn quantity<T: FromStr<Err: Display>>(&self, example: &str) -> Option<T> {
        let hint = format!("write a number and a unit in quotes, such as \"{example}\"");
        self.parse(self.string_or(&format!("a string such as \"{example}\""), Some(hint))?)
    }

    fn parse<T: FromStr<Err: Display>>(&self, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error: T::Err| self.reader.report(About::Value, &self.node.place, error.to_string(), None))
            .ok()
    }

    /// One of a few strings. `kind` completes the sentence "… is not a …".
    pub(in crate::config) fn choice<T: Clone>(&self, kind: &str, choices: &[(&str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let text = self.string()?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        if chosen.is_none() {
            self.refuse(format!("`{text}` is not a {kind}"), suggest(text, names(), "it is one of"));
        }
        chosen
    }

    /// One of an enum's own words.
    pub(in crate::config) fn spelled<T: Spelled>(&self, kind: &str) -> Option<T> {
        let words: Vec<(&str, T)> = T::VARIANTS.iter().map(|value| ((*value).into(), *value)).collect();
        self.choice(kind, &words)
    }

    pub(in crate::config) fn boolean(&self) -> Option<bool> {
        if let Value::Boolean(boolean) = self.node.value {
            return Some(boolean);
        }
        self.mistyped("true or false", self.unquoted(|text| matches!(text, "true" | "false")));
        None
    }

    pub(in crate::config) fn integer<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let Value::Integer(integer) = self.node.value else {
            self.mistyped("a whole number", self.unquoted(|text| text.parse::<i64>().is_ok()));
            return None;
        };
        let fits = integer.filter(|integer| range.contains(integer)).and_then(|integer| T::try_from(integer).ok());
        if fits.is_none() {
            let (least, most) = range.into_inner();
            let found = integer.map_or_else(|| "the number".to_owned(), |integer| integer.to_string());
            let (message, hint) = match most {
                i64::MAX => (format!("{found} is out of range"), format!("write a number of at least {least}")),
                _ => (format!("{found} is out of range"), format!("write a number from {least} to {most}")),
            };
            self.refuse(message, hint);
        }
        fits
    }

    /// A number of processor cores, with or without a fraction. The engine takes no less than a hundredth of one.
    pub(in crate::config) fn cores(&self) -> Option<f64> {
        let number = match self.node.value {
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 cores")]
            Value::Integer(Some(integer)) => integer as f64,
            Value::Float(float) => float,
            _ => {
                self.mistyped("a number", self.unquoted(|text| text.parse::<f64>().is_ok()));
                return None;
            }
        };
        if (0.01..=1024.0).contains(&number) {
            return Some(number);
        }
        self.refuse(format!("{number} is out of range"), "write a number from 0.01 to 1024, such as 0.5");
        None
    }

    /// The advice for a value that was only quoted by mistake.
    fn unquoted(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        match &self.node.value {
            Value::String(text) if fits(text) => Some(format!("leave the quotes out: {text}")),
            _ => None,
        }
    }

    /// All items that `read` could read; it has reported the others.
    pub(in crate::config) fn list<T>(&self, read: impl FnMut(ConfigItem<'a>) -> Option<T>) -> Option<Vec<T>> {
        if let Value::List(items) = &self.node.value {
            if items.len() > MOST_ITEMS {
                self.refuse(format!("the list has {} items", items.len()), format!("a list has at most {MOST_ITEMS}"));
                return None;
            }
            return Some(items.iter().map(|node| ConfigItem { node, ..*self }).filter_map(read).collect());
        }
        let hint = self.is_string().then(|| "put it in brackets: [\"…\"]".to_owned());
        self.mistyped("a list", hint);
        None
    }

    /// A program and its arguments.
    pub(in crate::config) fn command(&self) -> Option<Vec<String>> {
        if self.is_string() {
            let hint = "write the program and each argument as a string of its own: [\"rake\", \"db:migrate\"]; \
                        what needs a shell is [\"sh\", \"-c\", \"…\"]";
            self.mistyped("a list of strings", Some(hint.to_owned()));
            return None;
        }
        let words = self.list(|word| {
            let text = word.string()?;
            word.fits(text.len());
            Some(text.to_owned())
        })?;
        self.fits_together(words.iter().map(String::len));
        if words.first().is_none_or(String::is_empty) {
            self.refuse("the command is empty", "name a program, or leave the key out");
            return None;
        }
        Some(words)
    }

    /// Reports what no process can be given: a string with a NUL, or one longer than the kernel takes.
    pub(in crate::config) fn fits(&self, length: usize) {
        if matches!(&self.node.value, Value::String(text) if text.contains('\0')) {
            self.refuse("the string contains a NUL character", "take it out: it would end the value there");
        }
        if length > exec::LONGEST {
            self.refuse(
                format!("this is {length} bytes long, and Linux starts no process with more than {}", exec::LONGEST),
                "put it into a file of the image or a volume, and only its path here",
            );
        }
    }

    /// Reports what is too much for one process although each string of it is not.
    pub(in crate::config) fn fits_together(&self, lengths: impl Iterator<Item = usize>) {
        let all = lengths.fold(0, |all: usize, length| all.saturating_add(exec::weight(length)));
        if all > exec::MOST {
            self.contradict(
                format!("these are {all} bytes together, and Linux starts no process with more than {}", exec::MOST),
                "put the large ones into files of the image or a volume, and only their paths here",
            );
        }
    }

    /// The names and values of a table that may have any names, in the order of the file.
    pub(in crate::config) fn entries(&self) -> Vec<(&'a str, ConfigItem<'a>)> {
        if let Value::Table(table) = &self.node.value {
            return in_file_order(table, *self);
        }
        self.mistyped("a table", None);
        Vec::new()
    }

    /// As [`ConfigItem::entries`], with names that must be words.
    pub(in crate::config) fn named<N: FromStr<Err: Display>>(&self) -> Vec<(N, ConfigItem<'a>)> {
        let parse = |(name, item): (&str, ConfigItem<'a>)| match name.parse::<N>() {
            Ok(name) => Some((name, item)),
            Err(error) => {
                item.refuse_key(error.to_string(), None);
                None
            }
        };
        self.entries().into_iter().filter_map(parse).collect()
    }

    /// Reports a mistake in the name that the value stands under.
    pub(in crate::config) fn refuse_key(&self, message: impl Into<String>, hint: Option<String>) {
        let place = super::Place { offset: self.node.key_offset, key: self.node.place.key.clone() };
        self.reader.report(About::Key, &place, message, hint);
    }

    /// A table that has only keys of these.
    pub(in crate::config) fn table(&self, keys: &[&'static [&'static str]]) -> Option<Table<'a>> {
        Table::open(*self, keys, None)
    }

    /// As [`ConfigItem::table`], for a table in which keys of another owner are easily misplaced.
    pub(in crate::config) fn table_of(&self, keys: &[&'static [&'static str]], other: Misplaced) -> Option<Table<'a>> {
        Table::open(*self, keys, Some(other))
    }
}

/// A table's items as a reader of the file meets them, so that of two that cannot be together the later is reported.
pub(super) fn in_file_order<'a>(
    table: &'a BTreeMap<String, Node>,
    parent: ConfigItem<'a>,
) -> Vec<(&'a str, ConfigItem<'a>)> {
    let mut items: Vec<_> = table.iter().map(|(name, node)| (name.as_str(), ConfigItem { node, ..parent })).collect();
    items.sort_by_key(|(_, item)| item.node.key_offset);
    items
}
