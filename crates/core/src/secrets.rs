//! Secrets on their way into a container, and the mask that keeps them out of everything that comes back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

/// What takes a secret's place.
const MASK: &str = "***";

/// A shorter value is left alone: to mask every `1` or `yes` would hide the log and not the secret.
const SHORTEST: usize = 4;

/// The values behind the names that a plan holds.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// By name.
    #[must_use]
    pub const fn new(values: BTreeMap<String, SecretString>) -> Self {
        Self(values)
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// Hides these secrets.
    #[must_use]
    pub fn masker(&self) -> Masker {
        Masker::new(self.0.values())
    }
}

impl FromIterator<(String, SecretString)> for Secrets {
    fn from_iter<T: IntoIterator<Item = (String, SecretString)>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Replaces secrets in what an app wrote. A log is read line by line, so each line of a longer secret counts.
#[derive(Debug, Clone, Default)]
pub struct Masker {
    /// The longest first, so that a secret within another does not leave the rest of it.
    values: Vec<SecretString>,
}

impl Masker {
    /// Hides these.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut values: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose_secret().trim();
            for value in std::iter::once(whole).chain(whole.lines().map(str::trim)) {
                if value.chars().count() >= SHORTEST && !values.iter().any(|known| known == value) {
                    values.push(value.to_owned());
                }
            }
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values: values.into_iter().map(SecretString::from).collect() }
    }

    /// Hides what both hide.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::new(self.values.iter().chain(&other.values))
    }

    /// The text without the secrets.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for value in &self.values {
            let value = value.expose_secret();
            if text.contains(value) {
                text = Cow::Owned(text.replace(value, MASK));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(values: &[&str]) -> Masker {
        let secrets: Vec<SecretString> = values.iter().map(|value| SecretString::from(*value)).collect();
        Masker::new(&secrets)
    }

    #[test]
    fn a_secret_within_a_longer_one_leaves_nothing_of_it() {
        let masker = masker(&["hunter2", "postgres://shop:hunter2@db/shop"]);
        assert_eq!(masker.mask("cannot reach postgres://shop:hunter2@db/shop"), "cannot reach ***");
        assert_eq!(masker.mask("password hunter2 refused"), "password *** refused");
    }

    #[test]
    fn every_line_of_a_key_is_hidden_and_short_values_are_not() {
        let masker = masker(&["-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----\n", "yes", "1"]);
        assert_eq!(masker.mask("got abcdefgh"), "got ***");
        assert_eq!(masker.mask("yes, 1 of 11"), "yes, 1 of 11");
    }

    #[test]
    fn nothing_shows_a_value_by_accident() {
        let secrets: Secrets = [("KEY".to_owned(), SecretString::from("hunter2"))].into_iter().collect();
        assert!(!format!("{secrets:?} {:?}", secrets.masker()).contains("hunter2"));
    }
}
