//! `windlass-server.toml`, whatever is in it: read, or refused with mistakes that have a place in it; and what is read
//! is an installation that a project's file can be held against.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use windlass_core::config::{ProjectFile, REFERENCE, ServerConfig};

static APP: LazyLock<ProjectFile> =
    LazyLock::new(|| ProjectFile::parse("windlass.toml", REFERENCE).expect("the reference is valid"));

fuzz_target!(|text: &str| {
    let server = match ServerConfig::parse("windlass-server.toml", text) {
        Ok(server) => server,
        Err(error) => return windlass_fuzz::expect_places(&error, text),
    };
    assert!(!server.hosts.is_empty() && !server.projects.is_empty());
    assert!(!server.github.webhook_secrets.is_empty(), "anybody could send deliveries");
    for project in server.projects.values() {
        assert!(!project.stages.is_empty());
        for stage in project.stages.keys() {
            let config = APP.resolve(stage);
            for refusal in project.permits(&config) {
                assert!(!refusal.to_string().is_empty());
            }
            for role in config.apps.values().flat_map(|app| app.roles.values()) {
                let capped = project.limits.cap(&role.resources);
                assert!(project.limits.memory.is_none_or(|most| capped.memory.is_some_and(|memory| memory <= most)));
                assert!(project.limits.cpu.is_none_or(|most| capped.cpu.is_some_and(|cpu| cpu <= most)));
            }
        }
    }
});
