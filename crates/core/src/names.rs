//! The words as types. A value that exists has been parsed: whoever receives one need not check it again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::schema;

/// Why a word was refused. `expected` completes the sentence "expected …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {kind}: expected {expected}")]
pub struct InvalidName {
    /// What was being parsed, as people call it.
    pub kind: &'static str,
    pub value: String,
    /// What would have been right.
    pub expected: &'static str,
}

/// Declares a word: a string that is checked once, when it enters.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $pattern:literal, |$value:ident| $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The word as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str($value: &str) -> Result<Self, InvalidName> {
                let parsed: Option<String> = $parse;
                parsed.map(Self).ok_or_else(|| InvalidName {
                    kind: $kind,
                    value: $value.to_owned(),
                    expected: $expected,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema::word($expected, $pattern)
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

word!(
    /// A GitHub repository, `owner/name`. Compared as written; GitHub's repository id is what identifies a project.
    ProjectName, "project", "owner/name, as in the repository's address", "^(?!\\.{1,2}/)[A-Za-z0-9_.-]{1,100}/(?!\\.{1,2}$)[A-Za-z0-9_.-]{1,100}$", |value| {
        value.split_once('/').and_then(|(owner, name)| {
            let fits = |part: &str| {
                !part.is_empty()
                    && part.len() <= 100
                    && !matches!(part, "." | "..")
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            };
            (fits(owner) && fits(name)).then(|| value.to_owned())
        })
    }
);

impl ProjectName {
    /// The account or organisation.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The repository's own name.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

/// Lower-case letters, digits, `-` and `_`, starting with a letter or digit, 1 to 63 characters: fits a DNS label, a
/// container's name and a path segment alike.
fn slug(value: &str) -> Option<String> {
    let mut characters = value.chars();
    let first = characters.next()?;
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (value.len() <= 63 && alphanumeric(first) && characters.all(|c| alphanumeric(c) || matches!(c, '-' | '_')))
        .then(|| value.to_owned())
}

word!(
    /// One GitHub environment of a project: `production`, `staging`, `pr-12`.
    StageName, "stage", "1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit", "^[a-z0-9][a-z0-9_-]{0,62}$", |value| slug(value)
);
word!(
    /// One image built from the project. An unnamed one is `default`.
    AppName, "app", "1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit", "^[a-z0-9][a-z0-9_-]{0,62}$", |value| slug(value)
);
word!(
    /// A process of an app. An unnamed one is `web`.
    RoleName, "role", "1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit", "^[a-z0-9][a-z0-9_-]{0,62}$", |value| slug(value)
);
word!(
    /// One Docker Engine, as the server's file names it.
    HostName, "host", "1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit", "^[a-z0-9][a-z0-9_-]{0,62}$", |value| slug(value)
);
word!(
    /// A commit's full SHA-1, 40 lower-case hex digits.
    CommitSha, "commit", "40 hex digits, the full SHA", "^[0-9a-fA-F]{40}$", |value| {
        (value.len() == 40 && value.bytes().all(|b| b.is_ascii_hexdigit())).then(|| value.to_ascii_lowercase())
    }
);
word!(
    /// `sha256:` and 64 hex digits: an image in a registry, or its id on an engine.
    Digest, "digest", "`sha256:` and 64 hex digits", "^sha256:[0-9a-fA-F]{64}$", |value| {
        value
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(|_| value.to_ascii_lowercase())
    }
);
word!(
    /// An image's name without tag or digest, lower-cased: `ghcr.io/acme/shop`.
    ImageName, "image", "a name such as ghcr.io/acme/shop, without tag or digest", "^([A-Za-z0-9][A-Za-z0-9_.:-]*/)*[A-Za-z0-9][A-Za-z0-9_.-]*$", |value| image_name(value)
);
word!(
    /// Names one deployment, in addresses too: 16 characters that cannot be guessed (80 random bits).
    DeploymentId, "deployment", "16 lower-case letters and digits", "^[0-9a-hjkmnp-tv-z]{16}$", |value| random_id(value)
);
word!(
    /// Names one one-off task.
    TaskId, "task", "16 lower-case letters and digits", "^[0-9a-hjkmnp-tv-z]{16}$", |value| random_id(value)
);

impl AppName {
    /// The app of a project that does not name its apps.
    #[must_use]
    pub fn unnamed() -> Self {
        Self("default".to_owned())
    }
}

impl RoleName {
    /// The role of an app that does not name its roles.
    #[must_use]
    pub fn unnamed() -> Self {
        Self("web".to_owned())
    }
}

impl CommitSha {
    /// The first seven digits, as people write it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl ImageName {
    /// The registry that holds it: the part before the first `/` when that is a host name, else Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.0.split_once('/') {
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
            _ => "docker.io",
        }
    }
}

fn image_name(value: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let last = lower.rsplit('/').next()?;
    let fits = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    (!last.contains(':') && lower.split('/').all(fits)).then_some(lower)
}

/// The 32 characters of a random id: digits and lower-case letters without `i`, `l`, `o` and `u`.
const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn random_id(value: &str) -> Option<String> {
    (value.len() == 16 && value.bytes().all(|b| ID_ALPHABET.contains(&b))).then(|| value.to_owned())
}

/// Sixteen characters out of random bytes; the top three bits of each are not used.
fn spell(random: [u8; 16]) -> String {
    random.iter().map(|byte| char::from(ID_ALPHABET[usize::from(byte % 32)])).collect()
}

impl DeploymentId {
    /// Spells an id. The bytes come from the caller, since nothing in this crate is random.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(spell(random))
    }

    /// The first six characters, for names that people read.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..6]
    }
}

impl TaskId {
    /// Spells an id. The bytes come from the caller, since nothing in this crate is random.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(spell(random))
    }
}

/// Declares a number with a meaning of its own.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                value.parse().map(Self)
            }
        }
    };
}

number!(
    /// GitHub's id of a repository: survives renames and transfers.
    RepositoryId
);
number!(
    /// A release's number, counted up per app and stage and never reused.
    ReleaseNumber
);
number!(
    /// Orders what is written about a stage: whoever receives an older one refuses it.
    Generation
);

/// Tells two services on one engine apart: neither ever touches what carries the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct InstallationId(pub uuid::Uuid);

impl fmt::Display for InstallationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl InstallationId {
    /// The first eight digits, for names that people read.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.simple().to_string()[..8].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_lower_cased_and_knows_its_registry() {
        let image: ImageName = "GHCR.io/Acme/Shop".parse().unwrap();
        assert_eq!((image.as_str(), image.registry()), ("ghcr.io/acme/shop", "ghcr.io"));
        assert_eq!("acme/shop".parse::<ImageName>().unwrap().registry(), "docker.io");
        assert_eq!("localhost:5000/shop".parse::<ImageName>().unwrap().registry(), "localhost:5000");
    }

    #[test]
    fn a_tag_or_a_digest_is_no_part_of_an_image() {
        for wrong in ["ghcr.io/acme/shop:latest", "ghcr.io/acme/shop@sha256:00", "", "a//b", "acme/shop:5000"] {
            assert!(wrong.parse::<ImageName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_refuse_what_would_break_a_path_or_a_name() {
        for wrong in ["", "-a", "A", "a/b", "a b", "ä", &"a".repeat(64)] {
            assert!(wrong.parse::<StageName>().is_err(), "{wrong}");
        }
        for wrong in ["acme", "acme/", "/shop", "a/b/c", "a/..", "a b/c"] {
            assert!(wrong.parse::<ProjectName>().is_err(), "{wrong}");
        }
        let error = "abc".parse::<CommitSha>().unwrap_err();
        assert_eq!(error.to_string(), "`abc` is not a valid commit: expected 40 hex digits, the full SHA");
    }

    #[test]
    fn ids_are_spelled_from_the_bytes_given() {
        let id = DeploymentId::from_random([255; 16]);
        assert_eq!(id.as_str(), "zzzzzzzzzzzzzzzz");
        assert_eq!(id.to_string().parse::<DeploymentId>().unwrap(), id);
    }
}
