//! The service from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deliveries;
mod doctor;
mod github;
mod renamed;
mod service;
mod strangers;

/// As the service wants its data folder where something else lies in it.
fn private_folder() -> tempfile::TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().unwrap()
}
