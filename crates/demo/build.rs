//! Builds fixtures/sample-app, and lists what an empty container needs to run it: the program, the C library it is
//! linked with and that one's loader, all as this machine has them.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "windlass-sample-app";
/// Where in the image its loader looks for libraries first, seen from the program; no folder of this machine.
const LIBRARIES: &str = "lib";

fn main() {
    let package = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../fixtures/sample-app");
    println!("cargo::rerun-if-changed={}", package.display());
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(variable("OUT_DIR"));
    let program = build(&package, &folder.join("sample-app"));
    let mut list = format!("&[(\"app\", include_bytes!({:?})),\n", kept(&program, &folder));
    for (path, found) in needed_by(&program) {
        list.push_str(&format!("({path:?}, include_bytes!({:?})),\n", kept(&found, &folder)));
    }
    let mut file = File::create(folder.join("sample-app.rs")).expect("cargo's own folder");
    file.write_all((list + "]\n").as_bytes()).expect("cargo's own folder");
}

fn build(package: &Path, target_directory: &Path) -> PathBuf {
    let target = variable("TARGET");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--quiet", "--manifest-path"]).arg(package.join("Cargo.toml"));
    cargo.arg("--target").arg(&target);
    // A directory of its own: the outer cargo holds the lock on the shared one.
    cargo.arg("--target-dir").arg(target_directory);
    // What was asked of the outer build (clippy, flags, another directory) was not asked of this one.
    let inherited = env::vars_os().map(|(name, _)| name).filter(|name| is_the_outer_builds(&name.to_string_lossy()));
    for name in inherited {
        cargo.env_remove(name);
    }
    cargo.env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,$ORIGIN/{LIBRARIES}"));
    let output = cargo.output().unwrap_or_else(|error| panic!("cargo did not start: {error}"));
    assert!(output.status.success(), "the sample app: {}", String::from_utf8_lossy(&output.stderr));
    target_directory.join(target).join("release").join(PACKAGE)
}

/// What the program's own loader would load, itself included: paths in the image, and where this machine has them.
fn needed_by(program: &Path) -> Vec<(String, PathBuf)> {
    // With musl, the program is a static one.
    if variable("CARGO_CFG_TARGET_FEATURE").to_string_lossy().split(',').any(|feature| feature == "crt-static") {
        return Vec::new();
    }
    let output = Command::new("ldd").arg(program).output().unwrap_or_else(|error| panic!("ldd did not start: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "ldd: {said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().filter_map(place).collect()
}

/// Of `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or of the loader's line, which begins with its path. What
/// comes from the kernel has none.
fn place(line: &str) -> Option<(String, PathBuf)> {
    let line = line.split(" (0x").next().unwrap_or(line).trim();
    let (name, found) = line.split_once(" => ").unwrap_or((line, line));
    let path = match name.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{LIBRARIES}/{name}"),
    };
    found.starts_with('/').then(|| (path, PathBuf::from(found)))
}

/// A copy that nobody changes while the compiler reads it.
fn kept(file: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join(file.file_name().unwrap_or_else(|| panic!("{} is no file", file.display())));
    fs::copy(file, &copy).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    copy
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
