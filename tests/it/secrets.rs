//! What an app is told in confidence stays between it and its container, however loud the app is.

use std::process::Output;

use windlass_core::deployment::DeploymentState;
use windlass_core::labels;
use windlass_testing::github::{CheckState, Conclusion};

use crate::operate::{done, run};
use crate::world::{DATABASE_URL, PATIENCE, WEBHOOK_SECRET, World};

/// As the app's own lines arrive.
const MASKED: &str = "connecting to ***";

#[tokio::test(flavor = "multi_thread")]
async fn rule_098_secrets_are_in_no_status_page_answer_error_label_or_log_however_an_app_fails() {
    let mut world = World::start().await;
    world.kill_service().await;
    // Whatever could be logged is.
    world.log = "trace";
    world.start_service().await;
    let mut seen = Seen::default();

    let image = world.build(&[("SAMPLE_TELL", "DATABASE_URL")]).await;
    let secret = "secrets = [\"DATABASE_URL\"]\nmigrate = { command = [\"migrate\"] }\n";
    let config = |env: &str| {
        world.config_with(&format!("{secret}env = {{ {env} }}")).replace("deadline = \"20s\"", "deadline = \"2s\"")
    };
    let migration_fails = "SAMPLE_MIGRATE_EXIT = \"4\"";

    // A merge is told of on its pull request too.
    world.repository.push("loud", "loud");
    let number = world.repository.open_pull_request("loud");
    let commit = world.repository.merge_pull_request(number);
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &config(migration_fails)).await;
    world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    let told = world.repository.until_comment(number, |it| it.body().contains(MASKED), PATIENCE).await.unwrap();
    seen.add("the comment", told.bodies.join("\n"));

    let exits = "SAMPLE_START_DELAY_MS = \"600000\", SAMPLE_EXIT_AFTER_MS = \"300\"";
    for (number, env) in (2_u64..).zip(["", migration_fails, exits, "SAMPLE_NEVER_HEALTHY = \"1\""]) {
        world.release(&format!("release {number}"), &image, &config(env)).await;
        seen.add("windlass plan", done(&world, &["plan", "--release", &number.to_string(), "--json"]).await);
        let deployed = run(&world, &["deploy", "--release", &number.to_string()]).await;
        assert_eq!(deployed.status.success(), number == 2, "{deployed:?}");
        seen.add_output("windlass deploy", &deployed);
        let deployment = world.deployments().await.remove(0);
        assert_eq!(deployment.state == DeploymentState::Succeeded, number == 2);
        for path in ["", "/log", "/events"] {
            let path = format!("/deployments/{}{path}", deployment.id);
            let answer = world.request(reqwest::Method::GET, &path).send().await.unwrap();
            seen.add(&path, answer.text().await.unwrap());
        }
        let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
        assert!(page.contains(MASKED), "the app did say it: {page}");
        seen.add("the page", page);
        seen.add("Docker's labels, names and command lines", containers(&world));
    }
    for command in [
        &["app", "logs"][..],
        &["task", "run", "--", "print-env", "DATABASE_URL"],
        &["status", "--json"],
        &["app", "ps"],
    ] {
        seen.add_output("a command", &run(&world, command).await);
    }

    world.kill_service().await;
    seen.add("what GitHub was told", format!("{:?}", world.repository.deployments()));
    assert!(world.service_log().contains("TRACE"), "it does log everything");
    for log in ["serve.log", "gateway.log"] {
        seen.add(log, std::fs::read_to_string(world.path(log)).unwrap());
    }
    for file in ["windlass.db", "windlass.db-wal"] {
        let stored = std::fs::read(world.path("data").join(file)).unwrap_or_default();
        seen.add(file, String::from_utf8_lossy(&stored).into_owned());
    }
    println!("{} places are searched", seen.0.len());
    seen.has_none_of(&[DATABASE_URL, WEBHOOK_SECRET, world.github.token(), &world.token]);
}

/// Everything that was said, and where.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn add(&mut self, place: &str, text: String) {
        self.0.push((place.to_owned(), text));
    }

    fn add_output(&mut self, command: &str, output: &Output) {
        self.add(command, format!("{output:?}") + &String::from_utf8_lossy(&output.stdout));
    }

    fn has_none_of(&self, secrets: &[&str]) {
        for secret in secrets {
            for (place, text) in &self.0 {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{place} has {secret}:\n{}", line.unwrap_or_default());
            }
        }
    }
}

fn containers(world: &World) -> String {
    let ours = format!("label={}={}", labels::INSTALLATION, world.engine.installation());
    let docker = |arguments: &[&str]| {
        let output = std::process::Command::new("docker").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let ids = docker(&["ps", "--all", "--quiet", "--filter", &ours]);
    assert!(!ids.is_empty());
    let format = "{{.Name}} {{json .Config.Labels}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Args}}";
    ids.lines().map(|id| docker(&["inspect", "--format", format, id])).collect()
}
