//! Why GitHub did not do what it was asked, told apart as far as somebody decides by it.

use std::time::Duration;

use windlass_core::hint::Hint;

/// Why GitHub did not do what it was asked. `asked` is method and path. Never holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// The client could not be made.
    #[error("GitHub's client cannot be set up: {why}")]
    Setup { why: String },
    /// No connection, or one that broke.
    #[error("GitHub could not be reached for {asked}: {why}")]
    Unreachable {
        asked: String,
        /// The innermost cause.
        why: String,
    },
    /// Connected, but no answer came in time. What was asked may have been done.
    #[error("GitHub did not answer {asked} in time")]
    Timeout { asked: String },
    /// Too many requests. None is sent before this is over.
    #[error("GitHub's rate limit is reached ({asked}): nothing is asked for {} s", retry_after.as_secs())]
    RateLimited {
        asked: String,
        /// How long GitHub wants to be left alone.
        retry_after: Duration,
    },
    /// Our credentials are not accepted (any more).
    #[error("GitHub does not accept our credentials for {asked}: {message}")]
    Unauthorized { asked: String, message: String },
    /// The App's installation is suspended.
    #[error("the App's installation on {owner} is suspended")]
    Suspended { owner: String },
    /// The App has no installation for this project, or none any more.
    #[error("the App is not installed on {project}")]
    NotInstalled {
        /// For which.
        project: String,
    },
    /// Our credentials are fine, but not for this.
    #[error("GitHub does not allow us {asked}: {message}")]
    Forbidden { asked: String, message: String },
    /// Not there, or not for us to see.
    #[error("GitHub knows nothing at {asked}: {message}")]
    NotFound { asked: String, message: String },
    /// The project's name is another repository's by now, and no other name of it is known. Nothing was asked.
    #[error(
        "{asked} was not sent: on GitHub the name {name} belongs to another repository now (id {by} instead of {id}), and \
         what the project is called now is not known"
    )]
    AnotherRepository {
        asked: String,
        name: String,
        /// The project's id.
        id: u64,
        /// Whose name it is.
        by: u64,
    },
    /// The commit of a deployment is unknown: never there, gone, or pushed a moment ago. Give it some seconds, not for ever.
    #[error("GitHub does not know the commit ({asked}): {message}")]
    CommitUnknown { asked: String, message: String },
    /// A deployment was made, but for another commit. It needs a status `error`.
    #[error("GitHub made deployment {id} for commit {got} instead of {wanted}")]
    WrongCommit {
        /// The deployment's id.
        id: u64,
        wanted: String,
        /// What it was made for.
        got: String,
    },
    /// Anything else than what was asked.
    #[error("GitHub refused {asked} with status {status}: {message}")]
    Refused {
        asked: String,
        /// HTTP status.
        status: u16,
        message: String,
    },
    /// An answer that says something else than GitHub's do, or less than it announces.
    #[error("GitHub's answer to {asked} cannot be used: {why}")]
    Malformed { asked: String, why: String },
}

impl GitHubError {
    /// Whether the same may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::RateLimited { .. }
            | Self::CommitUnknown { .. }
            // Its new name is heard of sooner or later.
            | Self::AnotherRepository { .. }
            | Self::Malformed { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 408,
            Self::Setup { .. }
            | Self::Unauthorized { .. }
            | Self::Suspended { .. }
            | Self::NotInstalled { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::WrongCommit { .. } => false,
        }
    }

    /// Whether it says something about us and not about what was asked for: everything else would be answered so too.
    #[must_use]
    pub const fn is_about_us(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unauthorized { .. } | Self::Suspended { .. } | Self::NotInstalled { .. }
        )
    }

    /// How long to wait at least before asking again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::CommitUnknown { .. } => Some(Duration::from_secs(2)),
            _ => None,
        }
    }
}

impl Hint for GitHubError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Setup { .. } => {
                "look at [github] in windlass-server.toml; root certificates come with the package ca-certificates"
            }
            Self::Unauthorized { .. } => {
                "give [github] a token or private key that is valid: this one has expired or was revoked"
            }
            Self::Suspended { owner } => {
                return Some(format!("an owner of {owner} lifts that, in its settings under GitHub Apps"));
            }
            Self::NotInstalled { .. } => "install it from its page, and include the repository",
            Self::Forbidden { .. } => {
                "a permission is missing: `windlass doctor --config windlass-server.toml` says which, and what for"
            }
            Self::AnotherRepository { .. } => {
                "let the App or token see the repository under its new name, or change the project's name or `id` in \
                 windlass-server.toml"
            }
            Self::NotFound { .. } => "look for a typing error, or give the App or token access to the repository",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
