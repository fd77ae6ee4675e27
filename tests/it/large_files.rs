//! Files of a repository that are as large as they may be: what is answered is not.

use reqwest::Method;
use windlass_core::problem::Problem;

use crate::world::{World, stage_path};

/// A release of the commit at the branch's head with this file.
async fn register(world: &World, config: &str) -> (u16, String) {
    let image = world.build(&[]).await;
    let commit = world.repository.push("main", &format!("{} bytes", config.len()));
    let body = serde_json::json!({ "commit": commit, "digest": image, "config": config });
    let path = format!("{}/apps/default/releases", stage_path());
    let answer = world.request(Method::POST, &path).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_109g_a_file_full_of_mistakes_or_of_what_is_not_allowed_is_answered_in_few_words() {
    let world = World::start().await;
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let unknown = format!("{}{}", world.config(), lines(60_000, &|number| format!("k{number:06} = 1\n")));
    let hosts = lines(4_000, &|number| format!("\"https://evil-{number}.example.org\",\n"));
    let not_allowed = format!("schema = 1\nport = 3000\nurl = [\n{hosts}]\n");
    let volumes = lines(4_000, &|number| format!("\"/srv/x{number}:/x{number}\",\n"));
    let mounts = format!("schema = 1\nport = 3000\nvolumes = [\n{volumes}]\n");
    for (config, code, more) in [
        (unknown, "config_invalid", "and 59950 more mistakes"),
        (not_allowed, "policy_refused", "windlass.toml: and 3950 more"),
        (mounts, "policy_refused", "windlass.toml: and 3950 more"),
    ] {
        let (status, answer) = register(&world, &config).await;
        assert_eq!(status, 422);
        assert!(answer.len() < 64 * 1024, "{} bytes for {} bytes", answer.len(), config.len());
        let problem: Problem = serde_json::from_str(&answer).unwrap();
        assert_eq!(problem.code, code);
        assert!(problem.errors.concat().contains(more), "{answer}");
    }
    let (_, answer) = register(&world, "schema = 1\nport = 3000\nresources = { pids = 9999 }\n").await;
    assert!(answer.contains("windlass.toml:3:22: app `default`, role `web`: `resources.pids` is 9999"), "{answer}");

    // One that is large and right serves as every other does.
    let variables = lines(9_000, &|number| format!("V{number} = \"{}\"\n", "x".repeat(80)));
    let large = format!("{}[env]\n{variables}", world.config());
    assert!(large.len() > 800_000);
    assert_eq!(register(&world, &large).await.0, 201);
    assert_eq!(world.stage().await.apps.values().next().unwrap().latest.unwrap().0, 1);
}
