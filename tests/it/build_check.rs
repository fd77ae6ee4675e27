//! `windlass build check`: what a build in a job needs, all of it at once.

use std::process::Output;

use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use crate::runner::Job;
use crate::world::World;

async fn check(world: &World, job: &Job, password: &str) -> Output {
    world
        .windlass(&["build", "check", "--registry-username", USERNAME])
        .env("WINDLASS_REGISTRY_PASSWORD", password)
        .current_dir(job.workspace())
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_there_is_said_and_what_is_not_comes_with_advice() {
    let world = World::start().await;
    let registry = Registry::start(Access::Login).await;
    let toml = world.config_with(&format!("image = \"{}/acme/shop\"", registry.address()));
    let mut job = Job::new(&world);
    job.commit("main", "App", &[("windlass.toml", &toml), ("Dockerfile", "FROM scratch\nCOPY . /\n")]);

    let well = check(&world, &job, PASSWORD).await;
    let said = String::from_utf8(well.stdout).unwrap();
    assert_eq!(well.status.code(), Some(0), "{said}");
    for line in [
        "ok       checkout: commit ",
        "ok       Docker Engine: ",
        "ok       default: Dockerfile: ",
        "ok       server: ",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(said.contains(&format!("ok       default: registry: {} takes", registry.address())), "{said}");

    job.commit("main", "No Dockerfile", &[("Dockerfile.old", "")]);
    std::fs::remove_file(job.workspace().join("Dockerfile")).unwrap();
    let ill = check(&world, &job, "a wrong password").await;
    let said = String::from_utf8(ill.stdout).unwrap();
    assert_eq!(ill.status.code(), Some(1), "{said}");
    assert!(said.contains("failed   default: Dockerfile: there is no Dockerfile at ./Dockerfile"), "{said}");
    assert!(said.contains("failed   default: registry: ") && said.contains("refused the login of bot"), "{said}");
    assert!(said.contains("and 1 changed since") && !said.contains("a wrong password"), "{said}");
}

#[tokio::test]
async fn what_the_dockerfile_copies_and_the_context_lacks_is_named_with_its_line() {
    let world = World::start().await;
    let mut job = Job::new(&world);
    let dockerfile = "ARG LOCK=package-lock.json\nFROM scratch AS unused\nCOPY nowhere /\nFROM scratch\nARG LOCK\n\
         COPY package.json \\\n  ${LOCK} \\\n  *.md /\nCOPY --from=unused /x /\nADD https://example.com/x /\nCOPY dist /\n";
    let toml = world.config_with("build = { context = \"api\", args = { LOCK = \"pnpm-lock.yaml\" } }");
    let files = [
        ("windlass.toml", toml.as_str()),
        ("api/Dockerfile", dockerfile),
        ("api/package.json", ""),
        ("api/dist/x", ""),
        ("api/.dockerignore", "dist\n"),
        ("pnpm-lock.yaml", ""),
    ];
    job.commit("main", "App", &files);
    let ill = check(&world, &job, PASSWORD).await;
    let said = String::from_utf8(ill.stdout).unwrap();
    assert_eq!(ill.status.code(), Some(1), "{said}");
    let line = "./api/Dockerfile:6: COPY names pnpm-lock.yaml, which ./api lacks";
    assert!(
        said.contains(line) && said.contains("Dockerfile:11: COPY names dist, which .dockerignore leaves out"),
        "{said}"
    );
    assert!(
        said.contains("failed   default: Dockerfile: ./api/Dockerfile:3: COPY names nowhere"),
        "the last stage copies from that one: {said}"
    );
    assert!(!said.contains("*.md") && !said.contains("example.com") && !said.contains("package.json,"), "{said}");
}
