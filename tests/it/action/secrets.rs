//! Secrets on their way through a job: to the registry, into a build, and nowhere else.

use std::path::Path;

use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use super::release::{image_config, without_masks};
use super::{commit_app, job, windlass_toml};
use crate::world::World;

/// Awkward to quote, to escape, to log and to match.
const AWKWARD: &str = "a b%0A\"q'$(x) ::error::&|\\n{}<é>";

#[tokio::test]
async fn rule_081_a_build_secret_is_read_by_the_build_and_seen_nowhere() {
    let world = World::start().await;
    let registry = Registry::start(Access::Login).await;
    let toml = windlass_toml(&world, &registry).replace("watch =", "build = { secrets = [\"npm\", \"key\"] }\nwatch =");
    let several = format!("-----BEGIN KEY-----\n{AWKWARD}\nsecond line\n-----END KEY-----");
    let quoted = several.replace('"', "\"\"");
    let mut job = job(&world)
        .with("registry-username", USERNAME)
        .with_secret("registry-password", PASSWORD)
        .with("build-secrets", &format!("npm={AWKWARD}\n\"key={quoted}\"\n"));
    commit_app(&mut job, &toml, &[]);
    // The app prints the file: a build that is careless with its secret.
    let dockerfile = format!(
        "FROM scratch\nADD app.tar /\nENV NEW={}\n\
         RUN --mount=type=secret,id=npm,target=/npm --mount=type=secret,id=key,target=/key \
         [\"/app\", \"print-files\", \"/npm\", \"/key\"]\n",
        uuid::Uuid::new_v4()
    );
    let sha = job.commit("main", "Print", &[("Dockerfile", &dockerfile)]);

    let mut running = job.start();
    running.until_logged("print-files").await;
    let processes = command_lines();
    let done = running.finish().await;
    done.succeeded();

    let written = without_masks(&done.raw_log);
    let config = image_config(&registry, &sha).await.to_string();
    assert!(written.contains("***"), "the build has printed them, masked:\n{written}");
    for secret in [AWKWARD, "second line", "-----BEGIN KEY-----", PASSWORD, world.token.as_str()] {
        for (place, text) in [
            ("the log", &written),
            ("the log that people see", &done.log),
            ("the summary", &done.summary),
            ("the outputs", &format!("{:?}", done.outputs)),
            ("the image's configuration and history", &config),
            ("the command lines", &processes),
        ] {
            assert!(!text.contains(secret), "{place} has {secret}:\n{text}");
        }
    }
    assert!(done.annotations.is_empty(), "{:?}", done.annotations);
}

#[tokio::test]
async fn a_cache_that_cannot_be_had_is_a_warning_and_the_token_for_it_is_not_told() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let token = format!("a-job-s-token-{}", uuid::Uuid::new_v4());
    let mut job = job(&world)
        .env("ACTIONS_RUNTIME_TOKEN", &token)
        .with("cache-from", "type=gha")
        .with("cache-to", "type=gha,mode=max")
        .with("builder-image", "127.0.0.1:1/not/there");
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let done = job.run().await;
    done.succeeded();
    let [warning] = &done.annotations[..] else { panic!("{:?}", done.annotations) };
    assert!(format!("{warning:?}").contains("127.0.0.1:1/not/there cannot be had"), "{warning:?}");
    assert!(!format!("{}{:?}", without_masks(&done.raw_log), done.outputs).contains(&token));
    assert!(done.masks.contains(&token));
}

#[tokio::test]
async fn rule_081_what_a_build_writes_cannot_speak_to_the_runner() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let dockerfile = format!(
        "FROM scratch\nADD app.tar /\nENV NEW={}\n\
         RUN [\"/app\", \"echo\", \"::error::injected\"]\n\
         RUN [\"/app\", \"echo\", \"##[error]injected\"]\n\
         RUN [\"/app\", \"echo\", \"::set-output name=release::666\"]\n\
         RUN [\"/app\", \"echo\", \"::add-mask::acme\"]\n",
        uuid::Uuid::new_v4()
    );
    job.commit("main", "Inject", &[("Dockerfile", &dockerfile)]);
    let done = job.run().await;
    done.succeeded();
    assert!(done.annotations.is_empty(), "{:?}", done.annotations);
    assert_eq!(done.output("release"), "1");
    assert!(done.raw_log.contains("| ::error::injected"), "{}", done.raw_log);
    assert!(!done.masks.iter().any(|mask| mask == "acme"));
}

#[tokio::test]
async fn a_build_secret_that_is_listed_and_not_given_is_asked_for() {
    let world = World::start().await;
    let mut job = job(&world);
    let toml = world.config_with("build = { secrets = [\"npm\"] }");
    commit_app(&mut job, &toml, &[]);
    let failed = job.run().await;
    assert_eq!((failed.exit_code, failed.output("reason")), (Some(2), "build_secret_missing"));
    assert!(failed.error().contains("the build secret npm"), "{}", failed.error());
}

/// Of every process of this machine, as every user of it can read them.
fn command_lines() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(Path::new(&process.path()).join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect::<Vec<_>>().join("\n")
}
