//! People, Apps and installations.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::registration::Registration;
use super::{HTML, time};

/// The App that the system under test signs in as, and whose webhook it is.
pub(in crate::github) const APP_ID: u64 = 1;
pub(in crate::github) const APP_SLUG: &str = "windlass";
pub(in crate::github) const INSTALLATION_ID: u64 = 5_300_000_001;
/// The App of GitHub Actions, whose checks are the usual ones.
pub(in crate::github) const ACTIONS: &str = "github-actions";
/// Who does what the tests do.
pub(in crate::github) const DEVELOPER: &str = "octavia";

#[derive(Clone, Copy)]
pub(in crate::github) enum Kind {
    User,
    Organization,
    Bot,
}

pub(in crate::github) fn user(login: &str, kind: Kind, api: &str) -> Value {
    let id = id_of(login);
    let url = format!("{api}/users/{login}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("U_{id}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{HTML}/{login}"),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": match kind {
            Kind::User => "User",
            Kind::Organization => "Organization",
            Kind::Bot => "Bot",
        },
        "site_admin": false
    })
}

/// As the events name one.
pub(in crate::github) fn organization(login: &str, api: &str) -> Value {
    let id = id_of(login);
    let url = format!("{api}/orgs/{login}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("O_{id}"),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "description": ""
    })
}

pub(in crate::github) fn developer(api: &str) -> Value {
    user(DEVELOPER, Kind::User, api)
}

/// The account under which the App itself writes.
pub(in crate::github) fn bot(api: &str) -> Value {
    user(&format!("{APP_SLUG}[bot]"), Kind::Bot, api)
}

pub(in crate::github) fn app_id(slug: &str) -> u64 {
    match slug {
        APP_SLUG => APP_ID,
        ACTIONS => 15_368,
        other => id_of(other),
    }
}

pub(in crate::github) fn app(slug: &str, api: &str) -> Value {
    let id = app_id(slug);
    let made = time(Timestamp::UNIX_EPOCH);
    json!({
        "id": id,
        "slug": slug,
        "node_id": format!("A_{id}"),
        "owner": user("github", Kind::Organization, api),
        "name": slug,
        "description": "",
        "external_url": format!("{HTML}/apps/{slug}"),
        "html_url": format!("{HTML}/apps/{slug}"),
        "created_at": made,
        "updated_at": made,
        "permissions": permissions(),
        "events": ["push"]
    })
}

/// What some App asks for; of the one under test its registration knows.
fn permissions() -> Value {
    json!({ "checks": "read", "contents": "read", "deployments": "write", "metadata": "read", "statuses": "read" })
}

pub(in crate::github) fn installation(owner: &str, registration: &Registration, api: &str) -> Value {
    let suspended = registration.is_suspended(owner);
    let made = time(Timestamp::UNIX_EPOCH);
    json!({
        "id": INSTALLATION_ID,
        "account": user(owner, Kind::Organization, api),
        "access_tokens_url": format!("{api}/app/installations/{INSTALLATION_ID}/access_tokens"),
        "repositories_url": format!("{api}/installation/repositories"),
        "html_url": format!("{HTML}/organizations/{owner}/settings/installations/{INSTALLATION_ID}"),
        "app_id": APP_ID,
        "app_slug": APP_SLUG,
        "target_id": id_of(owner),
        "target_type": "Organization",
        "permissions": registration.permissions(),
        "events": registration.events(),
        "single_file_name": null,
        "repository_selection": "all",
        "created_at": &made,
        "updated_at": &made,
        "suspended_by": suspended.then(|| user(owner, Kind::Organization, api)),
        "suspended_at": suspended.then_some(made)
    })
}

/// A name's own number, the same each time.
pub(in crate::github) fn id_of(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    u64::from(u32::from_be_bytes([digest[0] & 0x7F, digest[1], digest[2], digest[3]]))
}
