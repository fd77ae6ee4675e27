//! Whether an image is for the processor of its host: one for another starts and dies with `exec format error`, which
//! tells nobody what is wrong.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::task::Image;

use crate::engine::Engine;
use crate::images::ImageFacts;

/// Processors that run another one's programs too: theirs, and what they also run.
const ALSO_RUN: [(&str, &str); 2] = [("amd64", "386"), ("arm64", "arm")];

impl Engine {
    pub(super) async fn check_platform(&self, image: &Image, facts: &ImageFacts) -> Result<(), Failure> {
        let version = self.docker().version().await;
        let version = version.map_err(|error| self.error("ask for the processor", &error));
        let own = version.map_err(|error| error.into_failure(FailureCode::PullFailed))?.arch.unwrap_or_default();
        if runs(&own, &facts.architecture) {
            return Ok(());
        }
        let (host, reference, theirs) = (self.host(), image.reference(), &facts.architecture);
        Err(Failure::new(
            FailureCode::PolicyRefused,
            format!("{reference} is for {theirs}, and the processor of host {host} is {own}"),
        )
        .hint(format!("build it for this host too: `platforms = [\"linux/{own}\"]` in windlass.toml")))
    }
}

/// Where one of the two does not say, it is tried.
fn runs(own: &str, image: &str) -> bool {
    own.is_empty() || image.is_empty() || own == image || ALSO_RUN.contains(&(own, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_for_its_own_processor_and_for_the_older_one_of_the_same_family() {
        assert!(runs("amd64", "amd64") && runs("amd64", "386") && runs("arm64", "arm"));
        assert!(!runs("amd64", "arm64") && !runs("arm64", "amd64") && !runs("386", "amd64"));
    }

    #[test]
    fn what_does_not_say_is_tried() {
        assert!(runs("", "arm64") && runs("amd64", ""));
    }
}
