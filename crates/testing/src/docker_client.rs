//! Docker's own client, for a second opinion, and for what Windlass itself never does.

use std::process::Command;

/// Runs it and gives what it prints.
///
/// # Panics
///
/// When it is not there or ends badly.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Pushes an image of this machine's engine to a registry that wants no login, and gives the digest that it has there.
///
/// # Panics
///
/// When the registry does not take it.
#[must_use]
pub fn push(id: &str, image: &str, tag: &str) -> String {
    let name = format!("{image}:{tag}");
    docker(&["tag", id, &name]);
    docker(&["push", "--quiet", &name]);
    let digests = docker(&["image", "inspect", "--format", "{{join .RepoDigests \"\\n\"}}", &name]);
    let digest = digests.lines().find_map(|digest| digest.strip_prefix(image)?.strip_prefix('@'));
    digest.unwrap_or_else(|| panic!("{name} has no digest: {digests}")).to_owned()
}
