//! Words in the description of the API.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// A string of which `pattern`, a regular expression, says what it looks like, and `expected` the same to people.
pub(crate) fn word(expected: &str, pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some(expected))
        .pattern(Some(pattern))
        .into()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use proptest::string::string_regex;
    use proptest::test_runner::{Config, TestRunner};
    use utoipa::PartialSchema;
    use utoipa::openapi::{RefOr, Schema};

    use crate::names::{
        AppName, CommitSha, DeploymentId, Digest, HostName, ImageName, InvalidName, ProjectName, RoleName, StageName,
        TaskId,
    };

    fn pattern<T: PartialSchema>() -> String {
        match T::schema() {
            RefOr::T(Schema::Object(object)) => object.pattern.unwrap(),
            RefOr::T(_) | RefOr::Ref(_) => panic!("no string"),
        }
    }

    /// Whatever the pattern lets through is a word.
    fn keeps_its_promise<T: PartialSchema + FromStr<Err = InvalidName> + std::fmt::Debug>() {
        // What looks ahead keeps `.` and `..` away, which a generator of strings cannot say.
        let pattern = pattern::<T>().replace(r"(?!\.{1,2}/)", "").replace(r"(?!\.{1,2}$)", "");
        let words = string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap();
        let dots = |word: &str| word.split('/').any(|part| matches!(part, "." | ".."));
        TestRunner::new(Config { failure_persistence: None, ..Config::default() })
            .run(&words, |word| {
                prop_assume!(!dots(&word));
                prop_assert!(word.parse::<T>().is_ok(), "{word}");
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn what_a_pattern_lets_through_is_a_word() {
        keeps_its_promise::<ProjectName>();
        keeps_its_promise::<StageName>();
        keeps_its_promise::<AppName>();
        keeps_its_promise::<RoleName>();
        keeps_its_promise::<HostName>();
        keeps_its_promise::<CommitSha>();
        keeps_its_promise::<Digest>();
        keeps_its_promise::<ImageName>();
        keeps_its_promise::<DeploymentId>();
        keeps_its_promise::<TaskId>();
    }
}
