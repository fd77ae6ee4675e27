use expect_test::expect;
use serde_json::json;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::names::ReleaseNumber;

use super::*;

fn installation() -> InstallationId {
    InstallationId(uuid::Uuid::from_u128(7))
}

fn commit() -> CommitSha {
    "c".repeat(40).parse().unwrap()
}

fn deployment(stage: &str, failure: Option<Failure>) -> DeploymentView {
    let step = |step: &str, state: &str, from: &str, to: &str| json!({ "step": step, "title": step, "state": state, "started_at": from, "ended_at": to });
    let last = if failure.is_some() { "failed" } else { "done" };
    serde_json::from_value(json!({
        "id": windlass_core::names::DeploymentId::from_random([1; 16]),
        "project": "acme/shop",
        "stage": stage,
        "kind": "deploy",
        "state": if failure.is_some() { "failed" } else { "succeeded" },
        "failure": failure,
        "releases": { "default": 12 },
        "commit": commit(),
        "requested_by": "octavia",
        "created_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:01:08.25Z",
        "url": "https://deploy.example.com/deployments/abc",
        "environment_url": "https://shop.example.com/",
        "steps": [
            step("gate", "done", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            step("prepare", "done", "2026-01-01T00:01:00Z", "2026-01-01T00:01:02Z"),
            step("boot", last, "2026-01-01T00:01:02Z", "2026-01-01T00:01:08.25Z"),
        ],
    }))
    .unwrap()
}

#[test]
fn a_comment_says_what_was_deployed_where_and_how_long_it_took() {
    let text = body(installation(), &commit(), &[deployment("production", None), deployment("staging", None)]);
    expect![[r#"
        <!-- windlass 00000000-0000-0000-0000-000000000007 -->
        Windlass and `ccccccc`:

        | stage | state | what | time | |
        |---|---|---|---|---|
        | `production` | succeeded | `Deploy release 12` | 8.2 s | [steps and log](https://deploy.example.com/deployments/abc) · [app](https://shop.example.com/) |
        | `staging` | succeeded | `Deploy release 12` | 8.2 s | [steps and log](https://deploy.example.com/deployments/abc) · [app](https://shop.example.com/) |

        <details><summary>Time per step on <code>production</code></summary>

        | step | state | time |
        |---|---|---|
        | gate | done | 60.0 s |
        | prepare | done | 2.0 s |
        | boot | done | 6.2 s |

        </details>

        <details><summary>Time per step on <code>staging</code></summary>

        | step | state | time |
        |---|---|---|
        | gate | done | 60.0 s |
        | prepare | done | 2.0 s |
        | boot | done | 6.2 s |

        </details>
    "#]].assert_eq(&text);
}

#[test]
fn a_failure_names_its_step_and_nothing_of_it_is_more_than_text() {
    let failure = Failure::new(FailureCode::Unhealthy, "`web` says 503 to @octavia")
        .hint("look at <b>its</b> log")
        .log(vec!["````".to_owned(), "```` @acme/everybody #1\r\u{1b}[31m".to_owned(), "</details> | x |".to_owned()]);
    let text = body(installation(), &commit(), &[deployment("production", Some(failure))]);
    let (before, fenced) = text.split_once("`production` failed at the step `boot`:\n\n").unwrap();
    expect![[r#"
        `````text
        `web` says 503 to @octavia
        look at <b>its</b> log

        ````
        ```` @acme/everybody #1  [31m
        </details> | x |
        `````
    "#]]
    .assert_eq(fenced);
    assert!(!before.contains('@'), "{before}");
}

#[test]
fn a_comment_is_no_longer_than_github_takes_and_its_fences_are_whole() {
    let log = vec!["é".repeat(400); 60];
    let failure = Failure::new(FailureCode::TaskExited, "x".repeat(1000)).log(log);
    for stages in [1, 3, 10, 300] {
        let views: Vec<_> =
            (0..stages).map(|number| deployment(&format!("pr-{number}"), Some(failure.clone()))).collect();
        let text = body(installation(), &commit(), &views);
        assert!(text.chars().count() <= 65_536, "{stages} stages: {}", text.chars().count());
        assert_eq!(text.matches("```").count() % 2, 0, "{stages} stages");
        assert!(text.contains("| `pr-0` | failed |"), "{stages} stages");
    }
}

#[test]
fn an_address_that_is_none_of_the_web_is_no_link() {
    for (address, link) in [
        ("https://a.example.com/(x)|y", Some("[app](https://a.example.com/%28x%29%7Cy)")),
        ("javascript:alert(1)", None),
        ("no address", None),
    ] {
        assert_eq!(super::link("app", address).as_deref(), link);
    }
}

#[test]
fn rule_101_apps_from_different_commits_are_told_with_theirs() {
    let mut several = deployment("production", None);
    several.releases =
        [("api", 2), ("web", 5)].map(|(app, number)| (app.parse().unwrap(), ReleaseNumber(number))).into();
    several.commits = [("api", "a"), ("web", "b")]
        .map(|(app, commit)| (app.parse().unwrap(), commit.repeat(40).parse().unwrap()))
        .into();
    let text = body(installation(), &commit(), &[several.clone()]);
    assert!(text.contains("| `Deploy api 2, web 5` from `api aaaaaaa, web bbbbbbb` | 8.2 s |"), "{text}");
    several.commits.insert("api".parse().unwrap(), "b".repeat(40).parse().unwrap());
    let text = body(installation(), &commit(), &[several]);
    assert!(text.contains("| `Deploy api 2, web 5` | 8.2 s |"), "{text}");
}
