//! `windlass.toml`, whatever is in it: read, or refused with mistakes that have a place in it; and what is read can be
//! had for any stage, kept with a release, and held against an installation's limits.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use windlass_core::config::{ProjectConfig, ProjectFile, SERVER_REFERENCE, ServerConfig};
use windlass_core::names::StageName;

static INSTALLATION: LazyLock<ServerConfig> =
    LazyLock::new(|| ServerConfig::parse("windlass-server.toml", SERVER_REFERENCE).expect("the reference is valid"));

fuzz_target!(|text: &str| {
    let file = match ProjectFile::parse("windlass.toml", text) {
        Ok(file) => file,
        Err(error) => return windlass_fuzz::expect_places(&error, text),
    };
    let unnamed: StageName = "a-stage-without-an-overlay".parse().expect("a stage's name");
    for stage in file.stages().chain([&unnamed]) {
        let config = file.resolve(stage);
        for (name, app) in &config.apps {
            assert!(!app.roles.is_empty(), "{name} runs nothing");
            assert!(app.url.is_empty() || app.primary().is_some(), "{name} has a URL that leads nowhere");
        }
        for project in INSTALLATION.projects.values() {
            for refusal in project.permits(&config) {
                assert!(!refusal.to_string().is_empty());
            }
        }
        let kept = serde_json::to_string(&config).expect("a configuration is JSON");
        serde_json::from_str::<ProjectConfig>(&kept).expect("what was kept can be read");
    }
});
