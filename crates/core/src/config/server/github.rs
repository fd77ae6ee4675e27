//! How GitHub and the registries are signed in to.

use std::collections::BTreeMap;

use url::Url;

use super::read::safe_url;
use super::secret::read_secret;
use super::{GitHubAuth, GitHubConfig, RegistryCredentials, SecretSource};
use crate::config::reader::{ConfigItem, Table};

pub(super) const GITHUB: &[&str] = &["api-url", "app-id", "private-key", "token", "webhook-secrets", "oidc-issuer"];
pub(super) const REGISTRY: &[&str] = &["username", "password"];

const SIGN_IN: &str = "a GitHub App has `app-id` and `private-key`; a personal access token is `token`";

pub(super) fn read_github(item: ConfigItem<'_>) -> Option<GitHubConfig> {
    let github = item.table(&[GITHUB])?;
    let api_url = address(&github, "api-url", "https://api.github.com");
    let oidc_issuer = address(&github, "oidc-issuer", "https://token.actions.githubusercontent.com");
    let auth = read_auth(&github);
    let webhook_secrets = read_webhook_secrets(&github);
    Some(GitHubConfig { api_url: api_url?, auth: auth?, webhook_secrets, oidc_issuer: oidc_issuer? })
}

fn address(github: &Table<'_>, key: &str, default: &str) -> Option<Url> {
    github.get(key).map_or_else(|| Url::parse(default).ok(), safe_url)
}

fn read_auth(github: &Table<'_>) -> Option<GitHubAuth> {
    let id = github.get("app-id").map(|id| id.integer::<u64>(1..=i64::MAX));
    let private_key = github.get("private-key").map(read_secret);
    let token = github.get("token");
    if let Some(token) = token
        && (id.is_some() || private_key.is_some())
    {
        token.contradict("`token` stands beside a GitHub App", format!("keep one of the two: {SIGN_IN}"));
    }
    match (id, private_key, token) {
        (None, None, Some(token)) => read_secret(token).map(GitHubAuth::Token),
        (Some(id), Some(private_key), _) => Some(GitHubAuth::App { id: id?, private_key: private_key? }),
        (None, None, None) => {
            github.contradict("nothing says how to sign in to GitHub", SIGN_IN);
            None
        }
        (None, Some(_), None) => {
            github.lacks(
                "app-id",
                "`app-id` is missing beside `private-key`",
                "it is on the GitHub App's settings page",
            );
            None
        }
        (Some(_), None, None) => {
            let hint = "write private-key = { file = \"/run/secrets/app.pem\" }";
            github.lacks("private-key", "`private-key` is missing beside `app-id`", hint);
            None
        }
        (_, _, Some(_)) => None,
    }
}

fn read_webhook_secrets(github: &Table<'_>) -> Vec<SecretSource> {
    let hint = "write webhook-secrets = [{ env = \"WEBHOOK_SECRET\" }]: without one, anybody could send webhooks";
    let Some(item) = github.require("webhook-secrets", hint) else { return Vec::new() };
    if item.is_empty_list() {
        item.refuse("the list is empty", hint);
    }
    if item.is_string() {
        return read_secret(item).into_iter().collect();
    }
    item.list(read_secret).unwrap_or_default()
}

pub(super) fn read_registries(item: ConfigItem<'_>) -> BTreeMap<String, RegistryCredentials> {
    let read = |(name, item): (&str, ConfigItem<'_>)| {
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace()) {
            let hint = "write the registry's host only, in quotes: [registries.\"ghcr.io\"]";
            item.refuse_key(format!("`{name}` is not the name of a registry"), Some(hint.to_owned()));
        }
        let registry = item.table(&[REGISTRY])?;
        let username = registry.require("username", "write the account that pulls").and_then(|item| item.text());
        let password = registry
            .require("password", "write password = { env = \"NAME\" }: the account's password or token")
            .and_then(read_secret);
        Some((name.to_lowercase(), RegistryCredentials { username: username?.to_owned(), password: password? }))
    };
    item.entries().into_iter().filter_map(read).collect()
}
