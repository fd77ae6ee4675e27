//! `ARG` and `ENV` of one stage.

use std::collections::BTreeMap;

use super::instructions::words;

/// What a variable stands for at one place of the Dockerfile.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    arguments: BTreeMap<String, String>,
    /// Wins over an argument of the same name.
    environment: BTreeMap<String, String>,
}

impl Variables {
    /// `ARG NAME=value OTHER`; one without a value gets the one that `shared` has. What the build is `given` wins.
    pub(super) fn arguments(
        &mut self,
        rest: &str,
        shared: &BTreeMap<String, String>,
        given: &BTreeMap<String, String>,
    ) {
        for word in words(rest) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(self.expand(value))),
                None => (word.as_str(), shared.get(&word).cloned()),
            };
            let value = given.get(name).cloned().or(value);
            self.arguments.extend(value.map(|value| (name.to_owned(), value)));
        }
    }

    /// `ENV NAME=value OTHER=value`, or `ENV NAME the rest`.
    pub(super) fn environment(&mut self, rest: &str) {
        let words = words(rest);
        if words.first().is_some_and(|first| !first.contains('=')) {
            let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let value = self.expand(value.trim());
            self.environment.insert(name.to_owned(), value);
            return;
        }
        // All values of one instruction are read before any of them is set.
        let set: Vec<(String, String)> = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), self.expand(value)))
            .collect();
        self.environment.extend(set);
    }

    /// The arguments by name.
    pub(super) const fn all(&self) -> &BTreeMap<String, String> {
        &self.arguments
    }

    /// What a stage hands on to one that is built from it.
    pub(super) fn without_arguments(&self) -> Self {
        Self { arguments: BTreeMap::new(), environment: self.environment.clone() }
    }

    /// The same with one more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        more.environment.insert(name.to_owned(), value.to_owned());
        more
    }

    /// `$NAME`, `${NAME}`, `${NAME:-otherwise}` and `${NAME:+instead}` replaced; a name without a value by nothing.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            if let Some(before) = before.strip_suffix('\\') {
                expanded += before;
                expanded.push('$');
                rest = after;
                continue;
            }
            expanded += before;
            rest = if let Some((inner, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
                expanded += &self.braced(inner);
                after
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                let (name, after) = after.split_at(end);
                expanded += self.get(name).unwrap_or_default();
                after
            };
        }
        expanded + rest
    }

    /// The same where every name has a value or says what to take without one: others are known to the build only.
    pub(super) fn expand_known(&self, text: &str) -> Option<String> {
        let names = text.split('$').skip(1).map(|after| after.strip_prefix('{').unwrap_or(after));
        let unknown = names.into_iter().any(|after| {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            self.get(name).is_none() && !after.starts_with([':', '-', '+'])
        });
        (!unknown).then(|| self.expand(text))
    }

    fn braced(&self, inner: &str) -> String {
        let end = inner.find([':', '-', '+']).unwrap_or(inner.len());
        let (name, operator) = inner.split_at(end);
        let value = self.get(name).filter(|value| !value.is_empty() || !operator.starts_with(':'));
        let operator = operator.trim_start_matches(':');
        match (operator.chars().next(), value) {
            (Some('-'), None) => operator[1..].to_owned(),
            (Some('+'), Some(_)) => operator[1..].to_owned(),
            (Some('+'), None) => String::new(),
            (_, value) => value.unwrap_or_default().to_owned(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.environment.get(name).or_else(|| self.arguments.get(name)).map(String::as_str)
    }
}
