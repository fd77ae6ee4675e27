//! The API's description: it is valid, it names every route, and what the service answers is what it says.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use windlass_core::api::StartedTask;

use crate::world::{PROJECT, STAGE, World, stage_path, write};

/// Those of schemathesis that ask whether an answer is described, and whether it is a failure of the service.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,ignored_auth";

/// The same questions each time: what others would find is no matter of the change that is tested.
const SEED: &str = "1";

/// What the test script has installed.
fn installed(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) {
    let program = command.as_std().get_program().to_owned();
    let output = command.output().await.unwrap_or_else(|error| {
        panic!("{}: {error}; `.ci/test` installs it", program.display());
    });
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A stage with something of everything: releases, deployments that have ended, a hold, a task.
async fn prepare(world: &World) -> (String, String) {
    let image = world.build(&[]).await;
    world.release("one", &image, &world.config()).await;
    world.deploy("deploy", Some(1)).await;
    world.release("two", &image, &world.config()).await;
    world.deploy("deploy", Some(2)).await;
    let deployment = world.deploy("rollback", None).await;
    let run = json!({ "release": 1, "command": ["/sample-app", "--help"] });
    let task: StartedTask = world.post(&format!("{}/tasks", stage_path()), &run).await;
    world
        .request(reqwest::Method::GET, &format!("/tasks/{}/log", task.id))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    (deployment.id.to_string(), task.id.to_string())
}

/// As who schemathesis asks.
const AS_TESTER: &str = "[auth.openapi.token]\nbearer = \"${TOKEN}\"\n";

/// What schemathesis asks about: it cannot guess what there is.
fn names(deployment: &str, task: &str) -> String {
    let (owner, repository) = PROJECT.split_once('/').unwrap();
    let mut text = format!(
        "{AS_TESTER}[parameters]\n\"path.owner\" = \"{owner}\"\n\"path.repository\" = \"{repository}\"\n\"path.stage\" = \"{STAGE}\"\n\
         \"path.app\" = \"default\"\n"
    );
    for (operation, id) in [
        ("show_deployment", deployment),
        ("show_deployment_log", deployment),
        ("follow_deployment", deployment),
        ("cancel_deployment", deployment),
        ("follow_task", task),
        ("stop_task", task),
    ] {
        text += &format!(
            "[[operations]]\ninclude-operation-id = \"{operation}\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n"
        );
    }
    text
}

async fn ask_everything(world: &World, config: &str, examples: u32) {
    let file = world.path("schemathesis.toml");
    write(&file, config);
    let description = format!("http://{}/api/v1/openapi.json", world.service_address);
    let examples = examples.to_string();
    let mut schemathesis = installed("schemathesis");
    schemathesis
        .arg("--config-file")
        .arg(file)
        .args(["run", &description, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &examples, "--seed", SEED, "--request-timeout", "30", "--no-color"])
        .env("TOKEN", &world.token)
        .current_dir(world.folder.path());
    run(&mut schemathesis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_is_answered_for_as_the_description_says() {
    let world = World::start().await;
    let (deployment, task) = prepare(&world).await;
    ask_everything(&world, &names(&deployment, &task), 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_answered_for_as_the_description_says() {
    let world = World::start().await;
    ask_everything(&world, AS_TESTER, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_one_of_openapi() {
    let world = World::start().await;
    let description: Value = world.get("/openapi.json").await;
    let file = world.path("openapi.json");
    write(&file, &description.to_string());
    run(installed("openapi-spec-validator").arg(&file)).await;
}
