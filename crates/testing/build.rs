//! Builds fixtures/sample-app into a static binary that runs in an empty container.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "windlass-sample-app";

fn main() {
    let package = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../fixtures/sample-app");
    println!("cargo::rerun-if-changed={}", package.display());
    println!("cargo::rerun-if-changed=build.rs");
    let architecture = variable("CARGO_CFG_TARGET_ARCH").to_string_lossy().into_owned();
    let musl = format!("{architecture}-unknown-linux-musl");
    let mut targets = Vec::new();
    // Containers run Linux, wherever this is built.
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        targets.push(variable("TARGET").to_string_lossy().into_owned());
    }
    if !targets.contains(&musl) {
        targets.push(musl);
    }
    let mut failures = String::new();
    for target in &targets {
        match build(&package, target) {
            Ok(binary) => {
                println!("cargo::rustc-env=WINDLASS_SAMPLE_APP={}", binary.display());
                return;
            }
            Err(output) => failures.push_str(&format!("\n--- for {target} ---\n{output}")),
        }
    }
    panic!(
        "the sample app could not be linked statically. Install the C library's static part (Debian and Ubuntu: \
         libc6-dev, Fedora: glibc-static), or: rustup target add {}\n{failures}",
        targets[targets.len() - 1]
    );
}

fn build(package: &Path, target: &str) -> Result<PathBuf, String> {
    let target_directory = PathBuf::from(variable("OUT_DIR")).join("sample-app");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--release", "--quiet", "--target", target, "--manifest-path"])
        .arg(package.join("Cargo.toml"));
    // A directory of its own: the outer cargo holds the lock on the shared one.
    cargo.arg("--target-dir").arg(&target_directory);
    // What was asked of the outer build (clippy, flags, another directory) was not asked of this one.
    let inherited = env::vars_os().map(|(name, _)| name).filter(|name| is_the_outer_builds(&name.to_string_lossy()));
    for name in inherited {
        cargo.env_remove(name);
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    let output = cargo.output().map_err(|error| format!("cargo did not start: {error}"))?;
    if output.status.success() {
        Ok(target_directory.join(target).join("release").join(PACKAGE))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn is_the_outer_builds(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "TARGET",
    ];
    const PREFIXES: [&str; 5] = ["CARGO_BUILD_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PKG_", "CARGO_PROFILE_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
}
