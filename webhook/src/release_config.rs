//! The configuration that came with a release.

use windlass_core::config::{ProjectConfig, ProjectFile};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::names::StageName;
use windlass_core::stage::Stage;

/// A configuration up to here is read in place; a larger one beside the service's other work.
const QUICK: usize = 16 * 1024;

/// A release's configuration as the stage has it. It was checked when it was registered.
pub(crate) async fn stored_config(stage: &Stage, text: &str) -> Result<ProjectConfig, Failure> {
    let read = |text: &str, stage: &StageName| {
        let file = ProjectFile::parse("windlass.toml", text)
            .map_err(|error| Failure::new(FailureCode::PolicyRefused, error.to_string()))?;
        Ok(file.resolve(stage))
    };
    if text.len() <= QUICK {
        return read(text, &stage.name);
    }
    let (text, stage) = (text.to_owned(), stage.name.clone());
    let read = tokio::task::spawn_blocking(move || read(&text, &stage));
    read.await.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()))
}
