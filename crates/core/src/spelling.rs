//! Enums of which each value is one word, spelled the same everywhere: in JSON, in columns, in labels, in tables.

use std::str::FromStr;

use strum::VariantArray;

/// Each of its values is one word, and each word is read back as its value.
pub trait Spelled: VariantArray + Copy + Into<&'static str> + FromStr<Err = strum::ParseError> {}

/// Declares such an enum. Its words are its variants' names in the case that stands first, for serde and for everybody
/// else.
#[macro_export]
macro_rules! spelled {
    ($case:tt, $(#[$attribute:meta])* $visibility:vis enum $name:ident { $($variants:tt)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[derive(::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        #[derive(::strum::Display, ::strum::EnumString, ::strum::IntoStaticStr, ::strum::VariantArray)]
        #[serde(rename_all = $case)]
        #[strum(serialize_all = $case)]
        $(#[$attribute])*
        $visibility enum $name { $($variants)* }

        impl $name {
            /// Its word.
            #[must_use]
            $visibility fn as_str(self) -> &'static str {
                self.into()
            }
        }

        impl $crate::spelling::Spelled for $name {}
    };
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::Spelled;
    use crate::config::{JobMay, Strategy, TriggerKind};
    use crate::deployment::{DeploymentState, FailureCode, Outcome, Wait};
    use crate::labels::Kind;
    use crate::notice::GitHubState;
    use crate::plan::{DeploymentKind, StepKind};
    use crate::task::{Stream, TaskHealth, TaskStatus};
    use crate::verdict::VerdictKind;

    /// The first and the last word, for a case that is not what was meant.
    fn is_spelled<T>(first: &str, last: &str)
    where
        T: Spelled + Display + Debug + PartialEq + Serialize + DeserializeOwned,
    {
        for value in T::VARIANTS.iter().copied() {
            let word: &'static str = value.into();
            assert_eq!(value.to_string(), word);
            assert_eq!(word.parse(), Ok(value));
            let json = toml::Value::try_from(value).unwrap();
            assert_eq!(json.as_str(), Some(word), "serde has the same word");
            assert_eq!(json.try_into::<T>().unwrap(), value);
        }
        let words: Vec<&'static str> = T::VARIANTS.iter().map(|value| (*value).into()).collect();
        assert_eq!((words.first().copied(), words.last().copied()), (Some(first), Some(last)));
    }

    #[test]
    fn each_word_is_the_same_for_serde_for_people_and_for_whoever_reads_it_back() {
        is_spelled::<DeploymentKind>("deploy", "redeploy");
        is_spelled::<DeploymentState>("waiting", "superseded");
        is_spelled::<FailureCode>("gate_blocked", "internal");
        is_spelled::<GitHubState>("queued", "inactive");
        is_spelled::<JobMay>("task", "hold");
        is_spelled::<Kind>("service", "accessory");
        is_spelled::<Outcome>("succeeded", "superseded");
        is_spelled::<StepKind>("gate", "revert");
        is_spelled::<Strategy>("start-first", "safe");
        is_spelled::<Stream>("stdout", "stderr");
        is_spelled::<TaskHealth>("HEALTHY", "UNKNOWN");
        is_spelled::<TaskStatus>("PROVISIONING", "STOPPED");
        is_spelled::<TriggerKind>("merge", "push");
        is_spelled::<VerdictKind>("green", "unavailable");
        is_spelled::<Wait>("gate", "host");
    }
}
