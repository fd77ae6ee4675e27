//! Why a registry did not do what it was asked to, and what can be done about it.

use std::time::Duration;

use windlass_core::hint::Hint;
use windlass_core::names::ImageName;

/// A registry did not do what it was asked to. `words` are its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No registry could have such a thing.
    #[error("`{value}` is not a valid {kind}: {reason}")]
    Malformed {
        /// What it should be, as people call it.
        kind: &'static str,
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection to it.
    #[error("registry {registry} of image {image} cannot be reached: {reason}")]
    Unreachable {
        registry: String,
        image: ImageName,
        /// In the words of the connection.
        reason: String,
    },
    /// It was asked and says nothing.
    #[error("registry {registry} of image {image} was silent for {waited:?}")]
    Silent {
        registry: String,
        image: ImageName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Somebody answers who is no registry.
    #[error("{registry} does not answer as a registry does when asked for image {image}: {words}")]
    NotARegistry {
        registry: String,
        image: ImageName,
        /// What it says.
        words: String,
    },
    /// It wants to know who asks.
    #[error("registry {registry} wants a login for image {image}, and none was given: {words}")]
    LoginMissing {
        registry: String,
        image: ImageName,
        /// What it says.
        words: String,
    },
    /// It does not believe that it is the account, or does not know the account.
    #[error("registry {registry} refused the login of {account} for image {image}: {words}")]
    LoginRefused {
        registry: String,
        image: ImageName,
        account: String,
        /// What it says.
        words: String,
    },
    /// It knows the account, which may not push.
    #[error("registry {registry} does not let {account} push image {image}: {words}")]
    PushDenied {
        registry: String,
        image: ImageName,
        account: String,
        /// What it says.
        words: String,
    },
    /// It knows the account, which may not even look.
    #[error("registry {registry} does not let {account} read image {image}: {words}")]
    ReadDenied {
        registry: String,
        image: ImageName,
        account: String,
        /// What it says.
        words: String,
    },
    /// It answered something else.
    #[error("could not {action} image {image} at registry {registry}: {words}")]
    Answered {
        /// What was asked, as in "could not … image".
        action: &'static str,
        registry: String,
        image: ImageName,
        /// What it says.
        words: String,
        /// The HTTP status, when it says that the trouble is the registry's.
        status: Option<u16>,
    },
}

impl RegistryError {
    /// Whether asking again in some seconds may help. A registry that was silent has had its time.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Answered { status: Some(500..), .. })
    }
}

impl Hint for RegistryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } | Self::Answered { status: None, .. } => None,
            Self::Unreachable { registry, .. } => Some(format!(
                "is {registry} right, and can this machine reach it? Plain HTTP is for a registry on this machine itself"
            )),
            Self::Silent { .. } | Self::Answered { status: Some(_), .. } => {
                Some("the trouble is the registry's: try again later".to_owned())
            }
            Self::NotARegistry { .. } => {
                Some("an image's name begins with its registry's host name, as ghcr.io/acme/shop does".to_owned())
            }
            Self::LoginMissing { registry, .. } => {
                Some(format!("give the inputs `registry-username` and `registry-password`{}", github_login(registry)))
            }
            Self::LoginRefused { registry, account, .. } => Some(format!(
                "is {account} right as `registry-username`, and is `registry-password` its password or a token that has not expired?{}",
                github_login(registry)
            )),
            Self::PushDenied { registry, words, .. } if is_github(registry, words) => Some(GITHUB_DENIAL.to_owned()),
            Self::PushDenied { registry, image, account, .. } => {
                Some(format!("give {account} the right to push {image} at {registry}, or log in as somebody who may"))
            }
            Self::ReadDenied { registry, image, account, .. } => {
                Some(format!("give {account} the right to read {image} at {registry}, or log in as somebody who may"))
            }
        }
    }
}

/// <https://docs.github.com/en/packages/learn-github-packages/configuring-a-packages-access-control-and-visibility>
const GITHUB_DENIAL: &str = "there are three causes: the job lacks `permissions: packages: write`; \
    or the package is not linked to this repository (package settings → Manage Actions access → add the repository \
    with the role Write); or the package belongs to somebody else, or was first pushed with a personal token \
    (its owner links it the same way or deletes it)";

/// GitHub's registry also runs elsewhere: an enterprise's own has the same words.
fn is_github(registry: &str, words: &str) -> bool {
    registry == "ghcr.io" || words.contains("write_package")
}

fn github_login(registry: &str) -> &'static str {
    if registry == "ghcr.io" {
        "; a job of GitHub's has them as ${{ github.actor }} and ${{ github.token }}"
    } else {
        ""
    }
}
