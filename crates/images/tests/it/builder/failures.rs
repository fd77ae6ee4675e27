//! Builds that fail, each with its place and its reason.

use std::path::PathBuf;

use windlass_core::config::DockerEndpoint;
use windlass_core::hint::Hint;
use windlass_images::{BuildError, Builder};

use super::bench::{Bench, Heard};

async fn fail(bench: &Bench, dockerfile: &str) -> (BuildError, Heard) {
    bench.write("Dockerfile", dockerfile);
    let (built, heard) = bench.build(&bench.request()).await;
    (built.unwrap_err(), heard)
}

#[tokio::test]
async fn a_step_that_fails_has_its_line_its_exit_code_and_its_last_lines() {
    let bench = Bench::open().await;
    bench.add_app();
    let (error, heard) = fail(
        &bench,
        "FROM scratch AS base\nADD app.tar /\n\nFROM base\nARG CODE=4\nRUN [\"/app\", \"echo\", \"fine\"]\n# a note\n\
         RUN [\"/app\", \\\n  \"no such thing\"]\n",
    )
    .await;
    assert_eq!(error.to_string(), "Dockerfile:8: `RUN [\"/app\",   \"no such thing\"]` failed: exit code 2");
    let step = heard.step("[stage-1 2/2] RUN");
    assert!(heard.failed(step));
    assert_eq!(error.log(), heard.log(step));
    assert!(error.log().iter().any(|line| line.contains("no such thing")), "{error:?}");
}

#[tokio::test]
async fn a_mistake_in_the_dockerfile_has_its_line() {
    let bench = Bench::open().await;
    let (error, _) = fail(&bench, "FROM scratch\n\nRUNN x\n").await;
    assert!(error.to_string().starts_with("Dockerfile:3: unknown instruction: RUNN"), "{error}");
    let (error, _) = fail(&bench, "").await;
    assert!(matches!(error, BuildError::Dockerfile { line: None, .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_to_copy_that_is_not_there_leads_to_dockerignore() {
    let bench = Bench::open().await;
    bench.write("ignored", "");
    bench.write(".dockerignore", "ignored\n");
    let (error, _) = fail(&bench, "FROM scratch\nLABEL a=b\nCOPY ignored /x\n").await;
    assert!(error.to_string().starts_with("Dockerfile:3: `COPY ignored /x` failed: "), "{error}");
    assert!(error.hint().unwrap().contains(".dockerignore"));
}

#[tokio::test]
async fn a_stage_that_is_not_there_is_named() {
    let bench = Bench::open().await;
    bench.write("Dockerfile", "FROM scratch AS base\nLABEL a=b\n");
    let mut request = bench.request();
    request.target = Some("baes".to_owned());
    let error = bench.build(&request).await.0.unwrap_err();
    assert_eq!(error, BuildError::NoSuchTarget { file: "Dockerfile".into(), target: "baes".to_owned() });
}

#[tokio::test]
async fn a_program_for_another_processor_leads_to_qemu() {
    let bench = Bench::open().await;
    // The beginning of a program for a processor that nobody has.
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    program.extend([2, 0, 0xff, 0xfe, 1, 0, 0, 0]);
    program.resize(64, 0);
    bench.write("foreign", &program);
    bench.make_executable("foreign");
    let (error, _) = fail(&bench, "FROM scratch\nCOPY foreign /foreign\nRUN [\"/foreign\"]\n").await;
    assert!(matches!(error, BuildError::PlatformUnsupported { line: Some(3), .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("setup-qemu-action"));
}

#[tokio::test]
async fn a_secret_that_the_step_needs_and_nobody_gave_is_named() {
    let bench = Bench::open().await;
    bench.add_app();
    let text = "FROM scratch\nADD app.tar /\nRUN --mount=type=secret,id=npm,required [\"/app\", \"echo\"]\n";
    let (error, _) = fail(&bench, text).await;
    assert!(matches!(error, BuildError::StepFailed { line: Some(3), .. }), "{error:?}");
    assert!(error.to_string().contains("npm"), "{error}");
}

#[tokio::test]
async fn without_a_context_or_a_dockerfile_the_engine_is_not_asked() {
    let bench = Bench::open().await;
    let (built, heard) = bench.build(&bench.request()).await;
    assert_eq!(built.unwrap_err(), BuildError::NoDockerfile { path: bench.context().join("Dockerfile") });
    assert_eq!(heard.names().count(), 0);
    let mut request = bench.request();
    request.context = bench.context().join("nowhere");
    assert!(matches!(bench.build(&request).await.0, Err(BuildError::NoContext { .. })));
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_with_its_socket() {
    let socket = PathBuf::from("/nowhere/docker.sock");
    let error = Builder::connect(&DockerEndpoint::Unix(socket)).await.unwrap_err();
    assert!(error.to_string().starts_with("no Docker Engine answers at unix:///nowhere/docker.sock: "), "{error}");
    assert!(error.hint().unwrap().starts_with("is Docker running"));
}

#[tokio::test]
async fn an_engine_that_is_too_old_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let version = serde_json::json!({ "Version": "19.03.15", "ApiVersion": "1.40", "Os": "linux", "Arch": "amd64" });
    let router = axum::Router::new().fallback(move || std::future::ready(axum::Json(version.clone())));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let error = Builder::connect(&DockerEndpoint::Unix(socket)).await.unwrap_err();
    assert_eq!(error, BuildError::EngineTooOld { version: "19.03.15".to_owned() });
    serving.abort();
}
