//! What goes wrong with an image, as a command's end: a stable code, the line in the Dockerfile, what to do.

use windlass_core::hint::Hint;
use windlass_images::BuildError;
use windlass_registry::RegistryError;

use crate::error::{CommandError, Place, Status};

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let shown = Self::from_chain(Status::Failed, &error)
            .coded(code(&error))
            .details(error.log().iter().map(|line| format!("  {line}")))
            .maybe_hint(error.hint());
        match place(&error) {
            Some(place) => shown.at([place]),
            None => shown,
        }
    }
}

const fn code(error: &BuildError) -> &'static str {
    match error {
        BuildError::Unsupported { .. } | BuildError::NoEngine { .. } | BuildError::EngineTooOld { .. } => "no_engine",
        BuildError::NoContext { .. } | BuildError::NoDockerfile { .. } | BuildError::DockerfileOutside { .. } => {
            "no_dockerfile"
        }
        BuildError::Unreadable { .. } | BuildError::ContextTooBig { .. } | BuildError::IgnorePattern { .. } => {
            "context_invalid"
        }
        BuildError::Cache { .. } | BuildError::SecretTooBig { .. } | BuildError::Platform { .. } => "input_invalid",
        BuildError::NoSuchTarget { .. } | BuildError::Dockerfile { .. } => "dockerfile_invalid",
        BuildError::StepFailed { .. } | BuildError::PlatformUnsupported { .. } | BuildError::Refused { .. } => {
            "build_failed"
        }
        BuildError::BaseImageUnavailable { .. } => "base_image_unavailable",
        BuildError::LoginRefused { .. } => "login_refused",
        BuildError::Push(error) => registry_code(error),
        BuildError::Unreachable { .. } => "registry_unreachable",
    }
}

fn place(error: &BuildError) -> Option<Place> {
    let (file, line) = match error {
        BuildError::Dockerfile { file, line, .. }
        | BuildError::StepFailed { file, line, .. }
        | BuildError::PlatformUnsupported { file, line, .. } => (file, (*line)?),
        BuildError::IgnorePattern { file, line, .. } => (file, u32::try_from(*line).ok()?),
        _ => return None,
    };
    let line = usize::try_from(line).ok()?;
    Some(Place { file: file.display().to_string(), line, message: error.to_string() })
}

impl From<RegistryError> for CommandError {
    fn from(error: RegistryError) -> Self {
        Self::from_chain(Status::Failed, &error).coded(registry_code(&error)).maybe_hint(error.hint())
    }
}

const fn registry_code(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::Malformed { .. } => "input_invalid",
        RegistryError::LoginMissing { .. } | RegistryError::LoginRefused { .. } => "login_refused",
        RegistryError::PushDenied { .. } => "push_denied",
        RegistryError::Unreachable { .. } | RegistryError::Silent { .. } | RegistryError::NotARegistry { .. } => {
            "registry_unreachable"
        }
        _ => "push_failed",
    }
}
