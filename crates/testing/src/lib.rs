//! A GitHub, a Docker Engine and an app to test against, with faults on demand: for tests only.
//!
//! Nothing in here prints, and what is asked of a stand-in that makes no sense panics: it is a mistake of the test, not
//! an answer of the system under test.

pub mod authority;
pub mod docker;
pub mod docker_client;
pub mod faults;
pub mod registry;

// The demo has a GitHub and an app too.
pub use windlass_demo::{FakeGitHub, free_address, github, images, sample_app};

use std::path::{Path, PathBuf};

/// Where a file of the repository's `fixtures/` is.
#[must_use]
pub fn fixture_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path)
}

/// A file of the repository's `fixtures/`, as `webhook/push.json`.
///
/// # Panics
///
/// When it cannot be read: this is for tests, which run beside the sources.
#[must_use]
pub fn fixture(path: &str) -> Vec<u8> {
    let path = fixture_path(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
