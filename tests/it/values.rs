//! What is written arrives as it is written: variables, secrets, words of commands, and what comes back.

use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_testing::{images, sample_app};

use crate::operate::{done, run};
use crate::world::{World, write};

/// What a shell, a template or a careless parser would make something else of.
const AWKWARD: [(&str, &str); 14] = [
    ("EMPTY", ""),
    ("BLANKS", "  at both ends  "),
    ("LINES", "one\ntwo\n\nfour\n"),
    ("WINDOWS", "one\r\ntwo\r\n"),
    ("TABS", "\tone\ttwo\t"),
    ("DOLLARS", "$HOME ${PATH} $$ $(id) `id`"),
    ("QUOTES", "'single' \"double\" \\backslash\\"),
    ("EQUALS", "=a=b==c="),
    ("HASHES", "# no comment; // nor this"),
    ("TEMPLATES", "{{.Name}} {0} %s %25 <b>&amp;"),
    ("TILDE", "~/x *.rs ? [a-z]"),
    ("LETTERS", "grün 🐳 \u{200d}\u{feff}e\u{301}"),
    ("a.name-with.more", "yes"),
    ("NUMBERS", "007"),
];

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_secrets_arrive_as_they_are_written() {
    let mut world = World::start().await;
    let long = "ü".repeat(50_000);
    let values = || AWKWARD.into_iter().chain([("LONG", &long[..])]);
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let env: String = values().map(|(name, value)| format!("{} = {}\n", quoted(name), quoted(value))).collect();
    let secret: String = values().take(AWKWARD.len()).map(|(_, value)| value).collect::<Vec<_>>().join("|");
    let secret = format!(" \t{secret} \n");
    // One line end is the editor's.
    write(&world.path("database-url"), &format!("{secret}\n"));
    world.kill_service().await;
    world.start_service().await;
    let image = world.build(&[]).await;
    let config = world.config_with(&format!("secrets = [\"DATABASE_URL\"]\n[env]\n{env}"));
    world.release("awkward", &image, &config).await;
    let deployed = world.deploy("deploy", Some(1)).await;
    assert_eq!(deployed.state, DeploymentState::Succeeded, "{deployed:?}");
    for (name, value) in values().chain([("DATABASE_URL", &secret[..])]) {
        let answer = world.app(&format!("/env?name={name}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.text().await.unwrap(), value, "{name}");
    }

    let words = ["a  b", "", "$HOME", "~", "*", "\"q\"", "'", "--flag", "-", "grün", "a\nb"];
    let echo = [&["task", "run", "--", "echo"], &words[..]].concat();
    assert_eq!(done(&world, &echo).await, format!("{}\n", words.join(" ")));
    // Docker hands it out in pieces; and where its log is JSON, it spoils a letter that it cuts in two.
    let line = "0123456789".repeat(10_000);
    let printed = done(&world, &["task", "run", "--", "echo", &line]).await;
    assert!(printed == format!("{line}\n"), "{} bytes of {}", printed.len(), line.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_the_image_cannot_run_is_said_with_its_reason_before_anything_serves() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    world.release("good", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);

    let dockerfile = format!("FROM scratch\nADD {0} /\nCOPY {0} /not-executable/\n", sample_app::FILE);
    let context = images::build_context(&dockerfile, &[(sample_app::FILE, sample_app::archive(), 0o644)]);
    let bare = world.engine.build_image(context.into()).await.unwrap();
    let app = sample_app::PATH;
    for (number, command, migrate) in [
        (2, "[\"/no/such-file\"]", String::new()),
        (3, "[\"no-such-program\", \"serve\"]", String::new()),
        (4, "[\"/not-executable\"]", String::new()),
        (5, &format!("[\"{app}\"]"), "migrate = { command = [\"/no/such-file\"] }\n".to_owned()),
    ] {
        let config = world.config_with(&format!("{migrate}command = {command}\n"));
        world.release(&format!("release {number}"), &bare, &config).await;
        let deployment = world.deploy("deploy", Some(number)).await;
        let failure = deployment.failure.unwrap();
        println!("{number}: {failure:?}");
        let code = if migrate.is_empty() { FailureCode::BootFailed } else { FailureCode::MigrationFailed };
        assert_eq!((deployment.state, failure.code), (DeploymentState::Failed, code), "{failure}");
        assert!(failure.summary.contains("cannot run"), "{failure}");
        assert!(world.answer().await.starts_with("release 1 "));
    }
    let task = run(&world, &["task", "run", "--release", "2", "--", "/no/such-file"]).await;
    let said = String::from_utf8_lossy(&task.stderr);
    assert_eq!(task.status.code(), Some(125), "{said}");
    assert!(said.contains("/no/such-file") && said.contains("cannot run"), "{said}");
}
