//! What can go wrong with a build or a push. BuildKit's, the engine's and registries' words are read in `diagnosis.rs`.

use std::path::PathBuf;

use windlass_core::hint::Hint;
use windlass_core::platform::UnknownPlatform;
use windlass_registry::RegistryError;

/// An image was not built or not pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The engine's address is of a kind that cannot be built on.
    #[error("images cannot be built on the Docker Engine at {endpoint}")]
    Unsupported { endpoint: String },
    /// The engine does not answer.
    #[error("no Docker Engine answers at {endpoint}: {reason}")]
    NoEngine {
        endpoint: String,
        /// In the words of the connection.
        reason: String,
    },
    /// The engine is older than what is needed of BuildKit.
    #[error("Docker Engine {version} is too old to build with BuildKit: 20.10 is the oldest that can")]
    EngineTooOld {
        /// The engine's version.
        version: String,
    },
    /// The context cannot be read as a folder.
    #[error("the build context {path} cannot be read: {reason}", path = path.display())]
    NoContext {
        /// Where it should be.
        path: PathBuf,
        /// In the words of the operating system.
        reason: String,
    },
    /// There is no Dockerfile.
    #[error("there is no Dockerfile at {path}", path = path.display())]
    NoDockerfile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The Dockerfile is not below the context.
    #[error("the Dockerfile {path} is not inside of the build context {context}", path = path.display(), context = context.display())]
    DockerfileOutside {
        path: PathBuf,
        /// Where it should be below.
        context: PathBuf,
    },
    /// Something in the context cannot be read.
    #[error("{path} of the build context cannot be read: {reason}", path = path.display())]
    Unreadable {
        path: PathBuf,
        /// In the words of the operating system.
        reason: String,
    },
    /// There is more in the context than is sent.
    #[error("the build context {path} has more than {mebibytes} MiB to send", path = path.display())]
    ContextTooBig { path: PathBuf, mebibytes: u64 },
    /// A line of a `.dockerignore` is no pattern.
    #[error("{file}:{line}: `{pattern}` is not a pattern: {reason}", file = file.display())]
    IgnorePattern {
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What it says.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A cache that cannot be used as asked.
    #[error("`{option}` cannot be used: {fault}")]
    Cache {
        /// As it was given, with the input's name, and without tokens: `cache-to: type=gha`.
        option: String,
        /// Why not.
        fault: CacheFault,
    },
    /// A secret that cannot be handed over.
    #[error("the build secret {id} has {bytes} bytes, which BuildKit does not take")]
    SecretTooBig { id: String, bytes: usize },
    /// A platform that is none.
    #[error(transparent)]
    Platform(UnknownPlatform),
    /// The Dockerfile has no such stage.
    #[error("{file} has no stage `{target}`", file = file.display())]
    NoSuchTarget { file: PathBuf, target: String },
    /// The Dockerfile itself is wrong, or copies what is not there.
    #[error("{at}: {message}", at = at(file, *line))]
    Dockerfile {
        file: PathBuf,
        /// Its line, from 1, where that is known.
        line: Option<u32>,
        /// In BuildKit's words.
        message: String,
    },
    /// A step was run and failed.
    #[error("{at}: `{step}` failed: {reason}", at = at(file, *line))]
    StepFailed {
        file: PathBuf,
        /// Its line, from 1, where that is known.
        line: Option<u32>,
        step: String,
        /// As `exit code 1`.
        reason: String,
        /// The last lines that the step wrote. Secrets in it are not masked.
        log: Vec<String>,
    },
    /// A step is a program for another processor.
    #[error("{at}: `{step}` is a program for another kind of processor than the Docker Engine's", at = at(file, *line))]
    PlatformUnsupported {
        file: PathBuf,
        /// Its line, from 1, where that is known.
        line: Option<u32>,
        step: String,
    },
    /// A registry does not have a base image, or does not give it.
    #[error("the base image {image} is not to be had: {reason}")]
    BaseImageUnavailable {
        image: String,
        /// In the registry's words.
        reason: String,
    },
    /// A base image's registry does not know who asks.
    #[error("{registry} does not accept {who}: {reason}", who = who(username.as_deref()))]
    LoginRefused {
        registry: String,
        /// Who asked; nobody when there is no login for it.
        username: Option<String>,
        /// In the registry's words.
        reason: String,
    },
    /// The image was built, but a registry did not take it.
    #[error(transparent)]
    Push(RegistryError),
    /// A base image's registry does not answer.
    #[error("{registry} cannot be reached from the Docker Engine: {reason}")]
    Unreachable {
        registry: String,
        /// In the words of the connection.
        reason: String,
    },
    /// Anything else that the engine refused.
    #[error("could not {action}: {reason}")]
    Refused {
        /// What was asked, as in "could not …".
        action: String,
        /// In the engine's words.
        reason: String,
    },
}

/// Why a cache cannot be used as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheFault {
    /// It is not written as one.
    #[error("{reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is of a kind that is not known here.
    #[error("caches of type={kind} are not supported")]
    UnknownType { kind: String },
    /// It is GitHub's, and no job of GitHub's is under way.
    #[error("GitHub's cache is there for the jobs of GitHub Actions only")]
    NoJob,
}

impl BuildError {
    /// The last lines that a failed step wrote. Secrets in it are not masked.
    #[must_use]
    pub fn log(&self) -> &[String] {
        if let Self::StepFailed { log, .. } = self { log } else { &[] }
    }
}

fn at(file: &std::path::Path, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

fn who(username: Option<&str>) -> String {
    username.map_or_else(|| "anybody without a login".to_owned(), |name| format!("the login of {name}"))
}

impl Hint for BuildError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsupported { .. } => {
                "build where a Docker Engine has a Unix socket, and push to a registry".to_owned()
            }
            Self::NoEngine { .. } => {
                "is Docker running, and may this user open its socket? A job needs a runner with Docker, such as \
                 ubuntu-latest"
                    .to_owned()
            }
            Self::EngineTooOld { .. } => "upgrade Docker on this machine".to_owned(),
            Self::NoContext { .. } => "is the repository checked out, and is the context right?".to_owned(),
            Self::NoDockerfile { .. } => {
                "is the repository checked out, and is the Dockerfile's path right, seen from the context?".to_owned()
            }
            Self::DockerfileOutside { .. } => "move it into the context, or choose a context around it".to_owned(),
            Self::Unreadable { .. } => "let this user read it, or name it in .dockerignore".to_owned(),
            Self::ContextTooBig { .. } => {
                "name what the image does not need in .dockerignore, such as .git, target or node_modules".to_owned()
            }
            Self::IgnorePattern { .. } => "write one pattern a line, as Docker's documentation has them".to_owned(),
            Self::Cache { fault: CacheFault::Malformed { .. }, .. } => {
                "write it as docker buildx build takes it".to_owned()
            }
            Self::Cache { fault: CacheFault::UnknownType { .. }, .. } => {
                "use type=gha in a job of GitHub Actions, or type=registry,ref=… anywhere".to_owned()
            }
            Self::Cache { fault: CacheFault::NoJob, .. } => {
                "leave it out here, or keep the cache in a registry: type=registry,ref=…; a runner of another forge \
                 must set ACTIONS_RUNTIME_TOKEN and ACTIONS_CACHE_URL"
                    .to_owned()
            }
            Self::SecretTooBig { .. } => "a build secret may have 500 KiB".to_owned(),
            Self::Platform(unknown) => unknown.hint(),
            Self::NoSuchTarget { .. } => "name one of its stages, as in `FROM … AS name`, or none".to_owned(),
            Self::Dockerfile { message, .. } if message.contains("not found") => {
                "is it in the build context, and not excluded by .dockerignore?".to_owned()
            }
            Self::PlatformUnsupported { .. } => {
                "teach the machine that processor with QEMU (in a job: docker/setup-qemu-action, before this step), or \
                 build on a machine that has it"
                    .to_owned()
            }
            Self::BaseImageUnavailable { .. } => {
                "is its name right, and does it exist for this platform? A private one needs a login for its registry"
                    .to_owned()
            }
            Self::LoginRefused { username: None, .. } => "give it a user name and a password or token".to_owned(),
            Self::LoginRefused { username: Some(_), .. } => {
                "is the password or token right, and still valid?".to_owned()
            }
            Self::Push(error) => return error.hint(),
            Self::Unreachable { .. } => "is its name right, and does its machine answer?".to_owned(),
            Self::Dockerfile { .. } | Self::StepFailed { .. } | Self::Refused { .. } => return None,
        };
        Some(hint)
    }
}
