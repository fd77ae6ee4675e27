//! An app's own pages come with its release, from the repository or in the image, and reach the gateway.

use serde_json::{Value, json};
use windlass_core::api::Release;
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{World, stage_path, write};

/// The sample app with a file more, and one that is too large.
async fn with_page(world: &World, page: &str) -> String {
    let image = world.build(&[]).await;
    let folder = world.path("image");
    std::fs::create_dir_all(&folder).unwrap();
    write(&folder.join("503.html"), page);
    write(&folder.join("large.html"), &"x".repeat((64 << 10) + 1));
    write(&folder.join("Dockerfile"), &format!("FROM {image}\nCOPY 503.html large.html /pages/\n"));
    let mut docker = tokio::process::Command::new("docker");
    let built = docker.args(["build", "--quiet"]).arg(&folder).env("DOCKER_BUILDKIT", "0").output().await.unwrap();
    assert!(built.status.success(), "{built:?}");
    String::from_utf8(built.stdout).unwrap().trim().to_owned()
}

fn commit(world: &World) -> String {
    let commit = world.repository.push("main", "with pages");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    commit
}

/// What the gateway remembers of the app.
fn pages_of_gateway(world: &World) -> Value {
    let snapshot = std::fs::read_to_string(world.path("data/gateway-a.json")).unwrap();
    let snapshot: Value = serde_json::from_str(&snapshot).unwrap();
    snapshot["services"][0]["pages"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_repository_and_of_the_image_are_shown_in_the_place_of_the_gateways_words() {
    let mut world = World::start().await;
    let image = with_page(&world, "<h1>Away</h1>{request-id}").await;
    let folder = world.path("shop");
    std::fs::create_dir_all(folder.join("public")).unwrap();
    write(&folder.join("public/502.html"), "<h1>Broken</h1>");
    let errors = "[errors]\n502 = \"public/502.html\"\n503 = \"/pages/503.html\"\n504 = \"/pages/none.html\"\n413 = \"/pages/large.html\"";
    write(&folder.join("windlass.toml"), &world.config_with(errors));
    let create =
        ["release", "create", "--commit", &commit(&world), "--digest", &image, "--config", "shop/windlass.toml"];
    let created = world.windlass(&create).output().await.unwrap();
    assert!(created.status.success(), "{created:?}");
    let deployment = world.deploy("deploy", Some(1)).await;
    assert_eq!(deployment.state, DeploymentState::Succeeded, "{deployment:?}");
    let expected = json!({ "502": "<h1>Broken</h1>", "503": "<h1>Away</h1>{request-id}" });
    assert_eq!(pages_of_gateway(&world), expected);
    let log = reqwest::get(format!("{}/log", deployment.url)).await.unwrap().text().await.unwrap();
    for warning in [
        "default has no page of its own for 504: there is no /pages/none.html in the image",
        "for 413: /pages/large.html in the image is larger than 64 KB",
    ] {
        assert!(log.contains(warning), "{log}");
    }
    assert!(world.windlass(&["app", "maintenance", "on"]).output().await.unwrap().status.success());
    let answer = world.app("/").send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text().await.unwrap(), format!("<h1>Away</h1>{id}"));

    // Whoever is told again what to serve is told of its pages too.
    world.kill_gateway().await;
    std::fs::remove_file(world.path("data/gateway-a.json")).unwrap();
    world.start_gateway().await;
    assert!(world.windlass(&["app", "maintenance", "off"]).output().await.unwrap().status.success());
    world.until_answer("release 1 ").await;
    assert_eq!(pages_of_gateway(&world), expected);
    let mut docker = tokio::process::Command::new("docker");
    let left = docker.args(["ps", "--all", "--quiet", "--filter", "label=windlass.reads"]).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "what was read from is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_comes_with_the_pages_that_its_file_names_and_with_no_other() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let config = world.config_with("[errors]\n502 = \"502.html\"\n503 = \"/503.html\"");
    let commit = commit(&world);
    let register = async |pages: Value| {
        let body = json!({ "commit": commit, "digest": image, "config": config, "pages": pages });
        let path = format!("{}/apps/default/releases", stage_path());
        let answer = world.request(reqwest::Method::POST, &path).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for (pages, why) in [
        (json!({}), "errors.502 is 502.html, and the request has no page for it"),
        (json!({ "502": "a", "503": "b" }), "there is a page for 503, and `errors` takes none from the repository"),
        (json!({ "502": "x".repeat(65 << 10) }), "the page for 502 is larger than 64 KB"),
    ] {
        let (status, problem) = register(pages).await;
        assert_eq!((status, &problem["code"], &problem["errors"]), (422, &json!("pages_invalid"), &json!([why])));
    }
    let (status, release) = register(json!({ "502": "<h1>Broken</h1>" })).await;
    assert_eq!(status, 201);
    let first: Release = serde_json::from_value(release).unwrap();
    let (status, again) = register(json!({ "502": "<h1>Another</h1>" })).await;
    assert_eq!((status, again["number"].as_u64()), (200, Some(first.number.0)), "a release never changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_used_is_said_before_anything_is_registered() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    write(&world.path("windlass.toml"), &world.config_with("[errors]\n502 = \"502.html\""));
    let commit = commit(&world);
    let create = async || {
        let create = ["release", "create", "--commit", &commit, "--digest", image.as_str()];
        let output = world.windlass(&create).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = create().await;
    assert!(code == Some(2) && said.contains("the page 502.html of `errors.502` cannot be used: "), "{said}");
    crate::world::write_bytes(&world.path("502.html"), &[0xff, 0xfe]);
    assert!(create().await.1.contains("it is not UTF-8"));
    write(&world.path("502.html"), &"x".repeat((64 << 10) + 1));
    assert!(create().await.1.contains("it is larger than 64 KB"));
    write(&world.path("502.html"), "<h1>Broken</h1>");
    assert_eq!(create().await.0, Some(0));
}
