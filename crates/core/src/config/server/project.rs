//! What each project may ask for, and what may happen on its stages.

use std::collections::BTreeMap;

use url::Url;

use super::host::Known;
use super::secret::read_secret;
use super::{Checks, JobMay, Limits, NoCi, NoCiThen, OidcPolicy, ServerProject, StagePolicy, TriggerKind};
use crate::config::project::{LEAST_MEMORY, MOST_PIDS, capability, network};
use crate::config::reader::{ConfigItem, absolute_path, check_variable, host_selector, ulimit};
use crate::names::{ProjectName, RepositoryId, StageName};
use crate::quantity::{Duration, Memory};

pub(super) const PROJECT: &[&str] = &["id", "limits", "stages"];
pub(super) const LIMITS: &[&str] = &[
    "urls",
    "volumes",
    "ports",
    "memory",
    "cpu",
    "scale",
    "pids",
    "new-privileges",
    "capabilities",
    "drop-capabilities",
    "ulimits",
    "networks",
    "log",
];
pub(super) const STAGE: &[&str] = &[
    "branch",
    "deploy-on",
    "hosts",
    "checks",
    "ignore-checks",
    "no-ci",
    "gate-timeout",
    "oidc",
    "production",
    "transient",
    "secrets",
    "keep",
    "latest",
    "comment",
];
pub(super) const NO_CI: &[&str] = &["wait", "then", "same-tree"];
pub(super) const OIDC: &[&str] = &["events", "refs", "workflows", "may"];

pub(super) fn read_projects(item: ConfigItem<'_>, known: &Known) -> BTreeMap<ProjectName, ServerProject> {
    let named = item.named::<ProjectName>();
    if item.is_empty_table() {
        item.contradict("there is no project", "add `[projects.\"owner/name\".stages.production]`");
    }
    let mut ids = BTreeMap::new();
    let read = |(name, item): (ProjectName, ConfigItem<'_>)| {
        let project = item.table(&[PROJECT])?;
        let id = project.get("id").and_then(|id| id.integer(1..=i64::MAX)).map(RepositoryId);
        if let (Some(id), Some(item)) = (id, project.get("id"))
            && let Some(other) = ids.insert(id, name.clone())
        {
            item.contradict(
                format!("the project `{other}` has this id already"),
                "each repository has an id of its own on GitHub",
            );
        }
        let hint = format!("add `[projects.\"{name}\".stages.production]`");
        let stages =
            project.require("stages", &hint).map(|stages| read_stages(stages, &hint, known)).unwrap_or_default();
        Some((name, ServerProject { id, limits: read_limits(project.get("limits")), stages }))
    };
    named.into_iter().filter_map(read).collect()
}

fn read_limits(item: Option<ConfigItem<'_>>) -> Limits {
    let default = Limits::default();
    let Some(limits) = item.and_then(|item| item.table(&[LIMITS])) else { return default };
    Limits {
        urls: limits.get("urls").and_then(|urls| urls.list(host_pattern)).unwrap_or_default(),
        volumes: limits.get("volumes").and_then(|volumes| volumes.list(volume_source)).unwrap_or_default(),
        ports: limits.get("ports").and_then(|ports| ports.list(|port| port.integer(1..=65535))).unwrap_or_default(),
        memory: limits.get("memory").and_then(|memory| memory.memory("1g", LEAST_MEMORY)),
        cpu: limits.get("cpu").and_then(|cpu| cpu.cores()),
        scale: limits.get("scale").and_then(|scale| scale.integer(0..=100)).unwrap_or(default.scale),
        pids: limits.get("pids").and_then(|pids| pids.integer(1..=MOST_PIDS)).unwrap_or(default.pids),
        new_privileges: limits.get("new-privileges").and_then(|item| item.boolean()).unwrap_or(false),
        capabilities: limits.get("capabilities").and_then(|item| item.list(capability)).unwrap_or_default(),
        drop_capabilities: limits.get("drop-capabilities").and_then(|item| item.list(dropped)).unwrap_or_default(),
        ulimits: limits.get("ulimits").map(read_ulimits).unwrap_or_default(),
        networks: limits.get("networks").and_then(|item| item.list(network)).unwrap_or_default(),
        log: limits.get("log").and_then(|log| log.memory("100m", Memory(16 << 10))).unwrap_or(default.log),
    }
}

/// A capability, or all of them.
fn dropped(item: ConfigItem<'_>) -> Option<String> {
    if item.is("ALL") { Some("ALL".to_owned()) } else { capability(item) }
}

fn read_ulimits(item: ConfigItem<'_>) -> BTreeMap<String, i64> {
    let read = |(name, item): (&str, ConfigItem<'_>)| ulimit(name, item).map(|most| (name.to_owned(), most));
    item.entries().into_iter().filter_map(read).collect()
}

/// A host name, `*.` or `*`, alone or with a path.
fn host_pattern(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    let (host, path) = text.find('/').map_or((text, None), |at| (&text[..at], Some(&text[at..])));
    let host = host.to_lowercase();
    if !is_host_pattern(&host) {
        item.refuse(
            format!("`{text}` is not a host name"),
            "write the name only, shop.example.com, *.example.com for any one name below it, or * for any; no scheme or port. \
             A path behind it, shop.example.com/api, allows that and what is below it",
        );
        return None;
    }
    let as_in_addresses = |path: &str| {
        let url = Url::parse(&format!("https://host{path}")).ok();
        url.is_some_and(|url| url.query().is_none() && url.fragment().is_none() && url.path() == path)
    };
    if let Some(path) = path.filter(|path| path.ends_with('/') || path.contains("//") || !as_in_addresses(path)) {
        item.refuse(
            format!("`{path}` is not the beginning of paths"),
            "write whole segments without a slash at the end, such as /api; leave it out for the whole host",
        );
        return None;
    }
    Some(host + path.unwrap_or_default())
}

fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let sound = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    text == "*" || sound || name.starts_with('[')
}

fn volume_source(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    let source = absolute_path(text).or_else(|| (!text.contains('/')).then(|| text.to_owned()));
    if source.is_none() {
        item.refuse(
            format!("`{text}` is not a source of mounts"),
            "write a volume's name, or an absolute path without `..`",
        );
    }
    source
}

fn read_stages(item: ConfigItem<'_>, hint: &str, known: &Known) -> BTreeMap<StageName, StagePolicy> {
    let named = item.named::<StageName>();
    if item.is_empty_table() {
        item.contradict("the project has no stage", hint);
    }
    let read = |(name, item): (StageName, ConfigItem<'_>)| {
        let policy = read_stage(&name, item, known)?;
        Some((name, policy))
    };
    named.into_iter().filter_map(read).collect()
}

fn read_stage(name: &StageName, item: ConfigItem<'_>, known: &Known) -> Option<StagePolicy> {
    let stage = item.table(&[STAGE])?;
    let flag = |key| stage.get(key).and_then(|item| item.boolean());
    let branch = stage.get("branch").and_then(branch_name).unwrap_or_else(|| "main".to_owned());
    let hosts = stage.get("hosts").and_then(|hosts| {
        hosts.list(|item| {
            let selector = host_selector(item)?;
            known.check(&selector, item);
            Some(selector)
        })
    });
    Some(StagePolicy {
        deploy_on: stage
            .get("deploy-on")
            .and_then(|list| list.list(|item| item.spelled("trigger")))
            .unwrap_or_else(|| vec![TriggerKind::Merge]),
        hosts: hosts.unwrap_or_default(),
        checks: stage.get("checks").and_then(read_checks).unwrap_or(Checks::Required),
        ignore_checks: stage.texts("ignore-checks"),
        no_ci: read_no_ci(stage.get("no-ci")),
        gate_timeout: stage.duration_or(
            "gate-timeout",
            Duration::from_secs(2 * 60 * 60),
            Duration::from_secs(30 * 24 * 60 * 60),
        ),
        oidc: read_oidc(stage.get("oidc"), &branch),
        production: flag("production").unwrap_or(name.as_str() == "production"),
        transient: flag("transient").unwrap_or(false),
        secrets: stage.get("secrets").map(read_secrets).unwrap_or_default(),
        keep: stage.get("keep").and_then(|keep| keep.integer(1..=1000)).unwrap_or(5),
        latest: flag("latest").unwrap_or(false),
        comment: flag("comment").unwrap_or(true),
        branch,
    })
}

/// What Git allows as a branch's name.
fn branch_name(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    if text.starts_with("refs/") {
        item.refuse(format!("`{text}` is a full ref"), "write the branch's name only, such as main");
        return None;
    }
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock") && !part.ends_with('.');
    let character = |c: char| !c.is_whitespace() && !c.is_control() && !r"~^:?*[\".contains(c);
    let sound =
        text.split('/').all(part) && text.chars().all(character) && !text.contains("..") && !text.contains("@{");
    if sound && !text.starts_with('-') && text != "@" {
        return Some(text.to_owned());
    }
    item.refuse(
        format!("`{text}` is not the name of a branch"),
        "write one branch, such as main or release/2; patterns are not known here",
    );
    None
}

fn read_checks(item: ConfigItem<'_>) -> Option<Checks> {
    if item.is_list() {
        if item.is_empty_list() {
            item.refuse(
                "an empty list asks for no check at all",
                "name the checks, or write \"required\" (what the branch's rules require) or \"all\"",
            );
        }
        return item.list(|name| name.text().map(str::to_owned)).map(Checks::Named);
    }
    if !item.is_string() {
        item.mistyped("a list of names, \"required\" or \"all\"", None);
        return None;
    }
    if !matches!(item.string()?, "required" | "all") {
        item.refuse("this is neither \"required\" nor \"all\"", "names of checks go in a list: [\"test\", \"lint\"]");
        return None;
    }
    item.choice("rule for checks", &[("required", Checks::Required), ("all", Checks::All)])
}

fn read_no_ci(item: Option<ConfigItem<'_>>) -> NoCi {
    let default = NoCi { wait: Duration::from_secs(300), then: NoCiThen::Deny, same_tree: true };
    let Some(no_ci) = item.and_then(|item| item.table(&[NO_CI])) else { return default };
    let then = [("deny", NoCiThen::Deny), ("allow", NoCiThen::Allow)];
    NoCi {
        wait: no_ci.duration_or("wait", default.wait, Duration::from_secs(7 * 24 * 60 * 60)),
        then: no_ci.get("then").and_then(|item| item.choice("way to go on", &then)).unwrap_or(default.then),
        same_tree: no_ci.get("same-tree").and_then(|item| item.boolean()).unwrap_or(default.same_tree),
    }
}

fn read_oidc(item: Option<ConfigItem<'_>>, branch: &str) -> OidcPolicy {
    let default = OidcPolicy {
        events: vec!["push".to_owned(), "workflow_dispatch".to_owned()],
        refs: vec![format!("refs/heads/{branch}")],
        workflows: Vec::new(),
        may: Vec::new(),
    };
    let Some(oidc) = item.and_then(|item| item.table(&[OIDC])) else { return default };
    let full_ref = |item: ConfigItem<'_>| {
        let text = item.text()?;
        if !text.starts_with("refs/") {
            item.refuse(format!("`{text}` is not a full ref"), "write it whole: refs/heads/main or refs/tags/v1");
        }
        Some(text.to_owned())
    };
    OidcPolicy {
        events: oidc.get("events").map_or(default.events, |_| oidc.texts("events")),
        refs: oidc.get("refs").map_or(default.refs, |refs| refs.list(full_ref).unwrap_or_default()),
        workflows: oidc.texts("workflows"),
        may: oidc.get("may").and_then(|may| may.list(job_may)).unwrap_or_default(),
    }
}

fn job_may(item: ConfigItem<'_>) -> Option<JobMay> {
    item.spelled("thing that jobs may do")
}

fn read_secrets(item: ConfigItem<'_>) -> BTreeMap<String, super::SecretSource> {
    let read = |(name, item): (&str, ConfigItem<'_>)| {
        if let Err((message, hint)) = check_variable(name) {
            item.refuse_key(message, Some(hint));
        }
        read_secret(item).map(|source| (name.to_owned(), source))
    };
    item.entries().into_iter().filter_map(read).collect()
}
