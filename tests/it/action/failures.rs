//! What goes wrong before anything is deployed: each thing has one message, a stable reason and an exit status, and
//! leaves nothing registered.

use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use windlass_testing::github::NewJob;
use windlass_testing::registry::{Access, Registry, USERNAME};

use super::{commit_app, job, windlass_toml};
use crate::runner::{Finished, Job};
use crate::world::{STAGE, World, stage_path};

fn assert_failed(finished: &Finished, exit: i32, reason: &str, message: &str) {
    assert_eq!(finished.exit_code, Some(exit), "{}", finished.raw_log);
    assert!(finished.error().contains(message), "{}", finished.error());
    assert_eq!(finished.output("reason"), reason);
    assert!(finished.summary.starts_with("### ❌ "), "{}", finished.summary);
}

async fn assert_nothing_registered(world: &World) {
    let releases: Value = world.get(&format!("{}/apps/default/releases", stage_path())).await;
    assert_eq!(releases["items"], json!([]));
}

#[tokio::test]
async fn an_engine_a_dockerfile_and_a_file_that_are_not_there_are_named() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let toml = windlass_toml(&world, &registry);

    let mut no_engine = job(&world).without_docker();
    commit_app(&mut no_engine, &toml, &[]);
    let failed = no_engine.run().await;
    assert_failed(&failed, 1, "no_engine", "no Docker Engine answers at unix:///var/run/docker.sock");

    let mut no_dockerfile = job(&world);
    no_dockerfile.commit("main", "No Dockerfile", &[("windlass.toml", &toml)]);
    assert_failed(&no_dockerfile.run().await, 1, "no_dockerfile", "there is no Dockerfile at Dockerfile");

    let mut no_file = job(&world);
    no_file.commit("main", "Nothing", &[("Dockerfile", "FROM scratch\n")]);
    assert_failed(&no_file.run().await, 2, "config_missing", "there is no windlass.toml");
    assert_nothing_registered(&world).await;
}

#[tokio::test]
async fn a_mistake_in_a_file_is_annotated_at_its_line() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let toml = windlass_toml(&world, &registry);

    let mut broken = job(&world);
    broken.commit(
        "main",
        "Broken",
        &[("Dockerfile", "FROM scratch\nLABEL a=b\nRUNN make\n"), ("windlass.toml", &toml)],
    );
    let failed = broken.run().await;
    assert_failed(&failed, 1, "dockerfile_invalid", "RUNN");
    let annotation = &failed.annotations[0];
    assert_eq!((annotation.file.as_deref(), annotation.line), (Some("Dockerfile"), Some(3)));

    let mut failing = job(&world);
    commit_app(&mut failing, &toml, &[]);
    let dockerfile = "FROM scratch\nADD app.tar /\nRUN [\"/app\", \"exit\", \"7\"]\n";
    failing.commit("main", "Fail", &[("Dockerfile", dockerfile)]);
    let failed = failing.run().await;
    assert_failed(&failed, 1, "build_failed", "exit code 7");
    let annotation = &failed.annotations[0];
    assert_eq!((annotation.file.as_deref(), annotation.line), (Some("Dockerfile"), Some(3)));

    let mut config = job(&world);
    commit_app(&mut config, &format!("{toml}\n[roles.web]\nport = \"x\"\n"), &[]);
    let failed = config.run().await;
    assert_eq!((failed.exit_code, failed.output("reason")), (Some(2), "config_invalid"));
    assert!(failed.annotations.iter().all(|annotation| annotation.file.as_deref() == Some("windlass.toml")));
    assert!(!failed.annotations.is_empty());
    assert_nothing_registered(&world).await;
}

#[tokio::test]
async fn a_registry_says_no_before_anything_is_built() {
    let world = World::start().await;
    let registry = Registry::start(Access::Login).await;
    let mut job = job(&world).with("registry-username", USERNAME).with_secret("registry-password", "a wrong one");
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let failed = job.run().await;
    let message = format!("registry {} refused the login of {USERNAME}", registry.address());
    assert_failed(&failed, 1, "login_refused", &message);
    assert!(failed.error().contains("registry-password"), "{}", failed.error());
    assert!(!failed.log.contains("ADD app"), "{}", failed.log);
    assert_nothing_registered(&world).await;
}

#[tokio::test]
async fn rule_083_a_push_that_is_denied_names_the_three_causes() {
    let world = World::start().await;
    let denying = serve(Router::new().route("/v2/", get(async || StatusCode::OK)).route(
        "/v2/acme/shop/blobs/uploads/",
        post(async || {
            let words = json!({ "errors": [{ "code": "DENIED", "message": "permission_denied: write_package" }] });
            (StatusCode::FORBIDDEN, Json(words))
        }),
    ))
    .await;
    let mut job = job(&world)
        .with("image-name", &format!("{denying}/Acme/Shop"))
        .with("registry-username", USERNAME)
        .with_secret("registry-password", "a token that may only read");
    commit_app(&mut job, &world.config(), &[]);
    let failed = job.run().await;
    assert_failed(&failed, 1, "push_denied", "permission_denied: write_package");
    for cause in ["packages: write", "Manage Actions access", "personal"] {
        assert!(failed.error().contains(cause), "{cause}: {}", failed.error());
    }
    assert!(failed.error().contains(&format!("{denying}/acme/shop")), "lower-case: {}", failed.error());
}

#[tokio::test]
async fn a_service_that_is_not_there_or_of_another_time_is_named() {
    let world = World::start().await;
    let mut unknown = job(&world).with("server", "https://windlass.invalid");
    commit_app(&mut unknown, &world.config(), &[]);
    let failed = unknown.run().await;
    assert_failed(&failed, 1, "server_unreachable", "the server at https://windlass.invalid/ cannot be reached");

    let version = Router::new().route("/api/v1/version", get(async || Json(json!({ "version": "9.4.0" }))));
    let later = serve(version).await;
    let mut other = job(&world).with("server", &format!("http://{later}"));
    commit_app(&mut other, &world.config(), &[]);
    let own = env!("CARGO_PKG_VERSION");
    let message = format!("this is Windlass {own}, and the service at http://{later}/ is 9.4.0");
    assert_failed(&other.run().await, 1, "version_unsupported", &message);
}

#[tokio::test]
async fn rule_079_a_required_input_that_is_empty_is_a_clear_failure() {
    let world = World::start().await;
    let mut job = job(&world).with("server", "");
    commit_app(&mut job, &world.config(), &[]);
    assert_failed(&job.run().await, 2, "input_invalid", "the input `server` is empty");
}

#[tokio::test]
async fn a_job_without_the_permission_to_sign_in_is_told_which() {
    let world = World::start().await;
    let mut silent = Job::new(&world).with("stage", STAGE);
    commit_app(&mut silent, &world.config(), &[]);
    let failed = silent.run().await;
    assert_failed(&failed, 1, "no_oidc_permission", "the job may not sign in");
    assert!(failed.error().contains("permissions: id-token: write"), "{}", failed.error());

    // GitHub signs for it, and the stage's policy does not let such a job in.
    let mut elsewhere = Job::new(&world).with("stage", STAGE);
    let sha = commit_app(&mut elsewhere, &world.config(), &[]);
    let started = world.repository.start_job(NewJob { event: "pull_request".to_owned(), ..NewJob::on_push(&sha) });
    let failed = elsewhere.may_sign_in(&started).run().await;
    assert_failed(&failed, 3, "policy_refused", "pull_request");
    assert_nothing_registered(&world).await;
}

#[tokio::test]
async fn a_build_that_is_cancelled_ends_at_once() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    let mut job = job(&world);
    commit_app(&mut job, &windlass_toml(&world, &registry), &[]);
    let dockerfile = "FROM scratch\nADD app.tar /\nRUN [\"/app\", \"sleep\", \"600000\"]\n";
    job.commit("main", "Sleep", &[("Dockerfile", dockerfile)]);
    let mut running = job.start();
    running.until_logged("sleep").await;
    // The runner would kill it after 10 s, and then there is no exit status.
    let cancelled = running.cancel().await;
    assert_failed(&cancelled, 1, "cancelled", "the job was cancelled: nothing was deployed");
    assert_nothing_registered(&world).await;
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn rule_031_a_merge_that_github_made_for_the_tests_is_no_release_for_production() {
    let preview = "[projects.\"acme/shop\".stages.preview]\ndeploy-on = []\n";
    let world = World::start_with(preview).await;
    let registry = Registry::start(Access::Open).await;
    let mut on_pull_request = job(&world);
    let toml = windlass_toml(&world, &registry);
    let sha = commit_app(&mut on_pull_request, &toml, &[]);
    let on_pull_request = on_pull_request
        .event("pull_request", json!({ "action": "synchronize", "number": 1 }))
        .env("GITHUB_REF", "refs/pull/1/merge")
        .env("GITHUB_REF_NAME", "1/merge");
    let refused = on_pull_request.run().await;
    let message = "a job of a pull request registers no release on production, which is for production";
    assert_failed(&refused, 3, "pull_request", message);
    assert!(!refused.log.contains("ADD app"), "{}", refused.log);

    // Nor with a token of its own: the stage lets no such job in.
    let pull_request = NewJob { event: "pull_request".to_owned(), ..NewJob::on_push(&sha) };
    let on_pull_request = on_pull_request.without("token").may_sign_in(&world.repository.start_job(pull_request));
    let refused = on_pull_request.run().await;
    assert_eq!(refused.exit_code, Some(3), "{}", refused.raw_log);
    assert!(refused.error().contains("event_name"), "{}", refused.error());
    assert_nothing_registered(&world).await;

    // What is not for production may be tried.
    let on_pull_request = on_pull_request.with_secret("token", &world.token).with("stage", "preview");
    on_pull_request.run().await.succeeded();
}
