//! What GitHub lets us do, asked of GitHub itself.

use std::collections::BTreeMap;

use windlass_core::Timestamp;
use windlass_core::config::ServerProject;
use windlass_core::hint::Hint;
use windlass_core::names::{CommitSha, ProjectName};

use super::{Checked, Finding};
use crate::config::Settings;
use crate::github::permissions::{Access, EVENTS, HookEvent, Need, PERMISSIONS, Permission};
use crate::github::setup::HookConfig;
use crate::github::{GitHub, GitHubError};

/// Further apart, and tokens are taken for expired or for not valid yet.
const WORST_SKEW: i64 = 30;

/// The App or token, its permissions, the webhook, and every project with its branches.
pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let github = match GitHub::connect(&settings.server.github.api_url, settings.github.clone()) {
        Ok(github) => github,
        Err(error) => return vec![Finding::bad("GitHub", error.to_string(), error.hint())],
    };
    let hook = format!("{}/webhooks/github", settings.server.public_url.as_str().trim_end_matches('/'));
    let mut findings = if github.is_app() { app(&github, &hook).await } else { Vec::new() };
    for (name, project) in &settings.server.projects {
        findings.extend(look_at_project(&github, name, project, &hook).await);
    }
    findings
}

async fn app(github: &GitHub, hook: &str) -> Vec<Finding> {
    let (app, time) = match github.registered_app().await {
        Ok(found) => found,
        Err(error) => return vec![Finding::bad("GitHub App", error.to_string(), error.hint())],
    };
    let mut findings = vec![Finding::good("GitHub App", format!("{} answers", app.name))];
    findings.extend(time.map(clock));
    let place = "the App's settings under Permissions & events";
    findings.extend(PERMISSIONS.iter().map(|it| permission("GitHub App", it, app.permissions.get(it.key), place)));
    findings.extend(EVENTS.iter().map(|it| event("GitHub App", it, &app.events, place)));
    findings.push(match github.app_hook().await {
        Ok(config) => webhook("webhook", &config, hook),
        Err(error) => Finding::bad("webhook", error.to_string(), error.hint()),
    });
    findings
}

async fn look_at_project(github: &GitHub, name: &ProjectName, project: &ServerProject, hook: &str) -> Vec<Finding> {
    let called = format!("project {name}");
    let mut findings = if github.is_app() { installation(github, name, &called).await } else { Vec::new() };
    if findings.iter().any(Finding::is_bad) {
        // Whatever else is asked would only say the same.
        return findings;
    }
    match github.repository(name).await {
        Ok(found) if project.id.is_some_and(|id| id != found.id) => findings.push(Finding::bad(
            called.clone(),
            format!("GitHub's id of it is {}, the server's file says another", found.id),
            Some("another repository may have taken the name; correct `id`".to_owned()),
        )),
        Ok(found) => findings.push(Finding::good(called.clone(), format!("id {}", found.id))),
        Err(error) => {
            let hint = "check the App's installation or the token's repositories, and `github.api-url`";
            return vec![Finding::bad(called, error.to_string(), Some(hint.to_owned()))];
        }
    }
    let heads = branches(github, name, project, &mut findings).await;
    if !github.is_app() {
        findings.extend(github.time_at(name).await.ok().flatten().map(clock));
        if let Some((branch, head)) = heads.first_key_value() {
            findings.extend(token(github, name, &called, branch, head).await);
        }
        findings.push(repository_hook(github, name, hook).await);
    }
    findings
}

/// Installed, not suspended, and with all permissions accepted; otherwise what is wrong.
async fn installation(github: &GitHub, project: &ProjectName, called: &str) -> Vec<Finding> {
    let hint = |text: &str| Some(text.to_owned());
    let installation = match github.installation_at(project).await {
        Ok(installation) => installation,
        Err(GitHubError::NotFound { .. }) => {
            let wrong = format!("the App is not installed at {}, or not for this repository", project.owner());
            return vec![Finding::bad(called, wrong, hint("install it from its page, and include the repository"))];
        }
        Err(error) => return vec![Finding::bad(called, error.to_string(), error.hint())],
    };
    if installation.suspended_at.is_some() {
        let wrong = format!("the App's installation at {} is suspended", project.owner());
        return vec![Finding::bad(called, wrong, hint("its owner lifts that in the settings of the installation"))];
    }
    let place = "the installation's settings: a permission that was added later is accepted there";
    let findings = PERMISSIONS.iter().map(|it| permission(called, it, installation.permissions.get(it.key), place));
    findings.filter(|finding| !matches!(finding.found, Checked::Good(_))).collect()
}

/// Each stage's branch is there. Gives the heads.
async fn branches(
    github: &GitHub,
    name: &ProjectName,
    project: &ServerProject,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, CommitSha> {
    let mut heads = BTreeMap::new();
    for (stage, policy) in &project.stages {
        let called = format!("stage {stage} of {name}");
        findings.push(match github.branch_head(name, &policy.branch).await {
            Ok(Some(head)) => {
                let found = Finding::good(called, format!("its branch {} is at {}", policy.branch, head.short()));
                heads.insert(policy.branch.clone(), head);
                found
            }
            Ok(None) => {
                let hint = "correct `branch` in the server's file, or push the branch";
                Finding::bad(called, format!("there is no branch {}", policy.branch), Some(hint.to_owned()))
            }
            Err(error) => Finding::bad(called, error.to_string(), error.hint()),
        });
    }
    heads
}

/// A token does not say what it may do, so each thing is tried.
async fn token(github: &GitHub, project: &ProjectName, called: &str, branch: &str, head: &CommitSha) -> Vec<Finding> {
    let mut findings = Vec::new();
    for needed in &PERMISSIONS {
        let Some(tried) = github.try_permission(project, needed.key, branch, head).await else { continue };
        findings.push(match tried {
            Ok(()) if needed.key == "pull_requests" => {
                let name = format!("{called}: {}", needed.name);
                Finding::good(name, "may be read; whether a comment may be written shows with the first one")
            }
            Ok(()) => permission(called, needed, Some(&needed.access.to_string()), ""),
            Err(GitHubError::Forbidden { .. } | GitHubError::NotFound { .. }) => {
                permission(called, needed, None, "the token's settings, under Repository permissions")
            }
            Err(error) => Finding::bad(format!("{called}: {}", needed.name), error.to_string(), error.hint()),
        });
    }
    findings
}

async fn repository_hook(github: &GitHub, project: &ProjectName, url: &str) -> Finding {
    let called = format!("webhook of {project}");
    let hooks = match github.hooks_of(project).await {
        Ok(hooks) => hooks,
        Err(GitHubError::Forbidden { .. } | GitHubError::NotFound { .. }) => {
            let hint = "with Webhooks: read the token could look; otherwise look at Recent Deliveries yourself";
            return Finding::doubtful(called, "the token may not look at it", Some(hint.to_owned()));
        }
        Err(error) => return Finding::bad(called, error.to_string(), error.hint()),
    };
    let Some(hook) = hooks.into_iter().find(|hook| hook.config.url.as_deref() == Some(url)) else {
        let hint =
            format!("add one to the repository with the address {url}, the type application/json and the secret");
        return Finding::bad(called, format!("none goes to {url}"), Some(hint));
    };
    if !hook.active {
        return Finding::bad(called, "it is not active", Some("tick Active in its settings".to_owned()));
    }
    let missing = |need| {
        let subscribed = |name: &str| hook.events.iter().any(|event| event == name || event == "*");
        let missing = EVENTS.iter().filter(|it| it.need == need && !subscribed(it.name));
        missing.map(|it| format!("{} ({})", it.name, it.without)).collect::<Vec<_>>()
    };
    let hint = Some("tick them in the webhook's settings".to_owned());
    let (required, optional) = (missing(Need::Required), missing(Need::Optional));
    if !required.is_empty() {
        return Finding::bad(called, format!("these events are missing: {}", required.join(", ")), hint);
    }
    let refused = hook.last_response.code.filter(|code| !(200..300).contains(code));
    if let Some(code) = refused {
        let said = hook.last_response.message.unwrap_or_default();
        let hint = "the secret may be another one than the server's file has, or the address not reach the service";
        return Finding::doubtful(called, format!("its last delivery got {code} {said}"), Some(hint.to_owned()));
    }
    if !optional.is_empty() {
        return Finding::doubtful(called, format!("these events are missing: {}", optional.join(", ")), hint);
    }
    webhook(&called, &hook.config, url)
}

/// What was granted, against what is needed.
fn permission(called: &str, needed: &Permission, granted: Option<&String>, place: &str) -> Finding {
    let name = format!("{called}: {}", needed.name);
    if granted.is_some_and(|granted| needed.access.is_in(granted)) {
        return Finding::good(name, format!("{}, for {}", needed.access, needed.why));
    }
    let what = match (granted, needed.access) {
        (Some(granted), Access::Write) => format!("it has {granted}, and needs write"),
        (_, access) => format!("it needs {access}"),
    };
    let wrong = format!("{what}, for {}; without it {}", needed.why, needed.without);
    let hint = Some(format!("grant {}: {} in {place}", needed.name, needed.access));
    match needed.need {
        Need::Required => Finding::bad(name, wrong, hint),
        Need::Optional => Finding::doubtful(name, wrong, hint),
    }
}

fn event(called: &str, needed: &HookEvent, events: &[String], place: &str) -> Finding {
    let name = format!("{called}: event {}", needed.name);
    if events.iter().any(|event| event == needed.name) {
        return Finding::good(name, needed.why);
    }
    let wrong = format!("it is not subscribed to; without it {}", needed.without);
    let hint = Some(format!("tick {} in {place}", needed.name));
    match needed.need {
        Need::Required => Finding::bad(name, wrong, hint),
        Need::Optional => Finding::doubtful(name, wrong, hint),
    }
}

fn webhook(called: &str, config: &HookConfig, url: &str) -> Finding {
    let hint = Some;
    if config.url.as_deref() != Some(url) {
        let there = config.url.as_deref().unwrap_or("nowhere");
        return Finding::bad(called, format!("it goes to {there}"), hint(format!("set its address to {url}")));
    }
    if config.secret.is_none() {
        let wrong = "it has no secret, so that every delivery is refused";
        return Finding::bad(called, wrong, hint("set the secret that the server's file has".to_owned()));
    }
    if config.content_type.as_deref() != Some("json") {
        let wrong = "it sends forms; Windlass reads them, but application/json is what it is tested with most";
        return Finding::doubtful(called, wrong, hint("choose the content type application/json".to_owned()));
    }
    Finding::good(called, format!("goes to {url}, signed"))
}

fn clock(theirs: Timestamp) -> Finding {
    let ahead = Timestamp::now().as_second() - theirs.as_second();
    if ahead.abs() <= WORST_SKEW {
        return Finding::good("clock", "as GitHub's");
    }
    let (by, how) = (ahead.abs(), if ahead > 0 { "fast" } else { "slow" });
    let wrong = format!("this machine's is {by} s {how}, so that tokens may be refused");
    Finding::bad("clock", wrong, Some("set it by NTP, for example with systemd-timesyncd or chrony".to_owned()))
}
