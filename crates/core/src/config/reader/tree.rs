//! The document as a tree in which every value knows where it was written, also after one tree was laid over another.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// A place in the file and the full path of the key there.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Place {
    /// In bytes.
    pub offset: usize,
    /// `roles.web.port`; empty at the top.
    pub key: String,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(in crate::config) struct Node {
    /// Of the value.
    pub place: Place,
    /// Of the key before it; for an item of a list, of the item.
    pub key_offset: usize,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(in crate::config) enum Value {
    String(String),
    /// `None`: more than 64 bits hold.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn root(table: &DeTable<'_>) -> Self {
        Self { place: Place::default(), key_offset: 0, value: Value::Table(entries(table, "")) }
    }

    fn new(value: &toml::Spanned<DeValue<'_>>, key_offset: usize, key: String) -> Self {
        let place = Place { offset: value.span().start, key };
        let value = match value.get_ref() {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Integer(integer) => Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok()),
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::new(item, item.span().start, format!("{}[{index}]", place.key)))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(entries(table, &place.key)),
        };
        Self { place, key_offset, value }
    }

    /// How many values it has, itself included.
    pub(in crate::config) fn count(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Value::Table(fields) => 1 + fields.values().map(Self::count).sum::<usize>(),
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date => 1,
        }
    }

    /// Where a mistake about the value as a whole is shown: a table begins at its name.
    pub(in crate::config) fn shown_at(&self) -> Place {
        match self.value {
            Value::Table(_) => Place { offset: self.key_offset, key: self.place.key.clone() },
            _ => self.place.clone(),
        }
    }

    /// Lays `over` over this: tables merge deep, everything else replaces. A merged table stays where this one stands.
    pub(in crate::config) fn overlay(&mut self, over: &Node) {
        match (&mut self.value, &over.value) {
            (Value::Table(below), Value::Table(above)) => {
                for (key, node) in above {
                    match below.get_mut(key) {
                        Some(covered) if key == "health" => covered.overlay_health(node),
                        Some(covered) => covered.overlay(node),
                        None => {
                            below.insert(key.clone(), node.clone());
                        }
                    }
                }
            }
            _ => *self = over.clone(),
        }
    }

    /// A task has one health check: one that is laid over another replaces it, whatever its kind.
    fn overlay_health(&mut self, over: &Node) {
        if let (Value::Table(below), Value::Table(above)) = (&mut self.value, &over.value) {
            let is_check = |key: &String| crate::config::project::CHECKS.contains(&key.as_str());
            if above.keys().any(is_check) {
                below.retain(|key, _| !is_check(key));
            }
        }
        self.overlay(over);
    }

    /// The table without some of its keys; anything else as it is.
    pub(in crate::config) fn without(&self, keys: &[&str]) -> Self {
        let mut rest = self.clone();
        if let Value::Table(table) = &mut rest.value {
            table.retain(|key, _| !keys.contains(&key.as_str()));
        }
        rest
    }
}

fn entries(table: &DeTable<'_>, parent: &str) -> BTreeMap<String, Node> {
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            (name.to_owned(), Node::new(value, key.span().start, join(parent, name)))
        })
        .collect()
}

/// The path of a key in a table, with quotes where TOML wants them.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let key = if bare { shortened(key) } else { format!("{:?}", shortened(key)) };
    match parent {
        "" => key,
        _ if parent.len() > LONGEST_PATH => parent.to_owned(),
        _ => format!("{parent}.{key}"),
    }
}

/// Every value has its path, which must not make a file's tree many times as large as the file.
const LONGEST_PATH: usize = 160;

/// Characters of one key in a path.
const LONGEST_KEY: usize = 80;

fn shortened(key: &str) -> String {
    match key.char_indices().nth(LONGEST_KEY) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}
