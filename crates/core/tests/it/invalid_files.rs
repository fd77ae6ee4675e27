//! Each file under `fixtures/config/invalid` gives exactly the message beside it.

use std::fs;
use std::path::PathBuf;

use expect_test::expect_file;
use windlass_core::config::{ConfigError, ProjectFile, ServerConfig};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config/invalid")
}

fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names
}

fn read(name: &str) -> Option<ConfigError> {
    let file = format!("{name}.toml");
    let text = fs::read_to_string(folder().join(&file)).unwrap();
    match name.starts_with("server-") {
        true => ServerConfig::parse(&file, &text).err(),
        false => ProjectFile::parse(&file, &text).err(),
    }
}

#[test]
fn every_invalid_file_gives_the_message_beside_it() {
    for name in names() {
        let error = read(&name).unwrap_or_else(|| panic!("{name}.toml has no mistake"));
        expect_file![folder().join(format!("{name}.txt"))].assert_eq(&format!("{error}\n"));
    }
}

#[test]
fn there_are_messages_for_both_files_and_none_without_its_file() {
    let names = names();
    assert!(names.len() >= 30, "only {} files", names.len());
    assert!(names.iter().any(|name| name.starts_with("server-")));
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("toml").exists(), "{} is beside no file", path.display());
    }
}

#[test]
fn no_message_repeats_what_may_be_a_secret() {
    for name in names() {
        let message = read(&name).map(|error| error.to_string()).unwrap_or_default();
        for secret in ["hunter2", "ghp_"] {
            assert!(!message.contains(secret), "{name}.toml: {message}");
        }
    }
}
