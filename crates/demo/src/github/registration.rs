//! The App as it is registered: what it asks for, what its installations have accepted, and its webhook.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::FakeGitHub;

/// All that an App of this kind asks for.
const PERMISSIONS: [(&str, &str); 8] = [
    ("actions", "read"),
    ("administration", "read"),
    ("checks", "read"),
    ("contents", "read"),
    ("deployments", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "read"),
];
const EVENTS: [&str; 7] = ["check_run", "check_suite", "pull_request", "push", "repository", "status", "workflow_run"];

pub(super) struct Registration {
    permissions: BTreeMap<String, String>,
    events: BTreeSet<String>,
    /// Asked for after it was installed, and accepted by nobody yet.
    not_accepted: BTreeSet<String>,
    /// Owners, in lower case, that have suspended their installation.
    suspended: BTreeSet<String>,
    /// Those that have removed it.
    removed: BTreeSet<String>,
    /// The webhook's address and whether it has a secret.
    hook: Option<(String, bool)>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            permissions: PERMISSIONS.map(|(name, access)| (name.to_owned(), access.to_owned())).into(),
            events: EVENTS.map(str::to_owned).into(),
            not_accepted: BTreeSet::new(),
            suspended: BTreeSet::new(),
            removed: BTreeSet::new(),
            hook: None,
        }
    }
}

impl Registration {
    /// What the App's settings have.
    pub(super) fn asked_for(&self) -> Value {
        json!({ "permissions": self.permissions, "events": self.events })
    }

    /// What an installation lets it do.
    pub(super) fn permissions(&self) -> Value {
        let accepted = self.permissions.iter().filter(|(name, _)| !self.not_accepted.contains(*name));
        accepted.map(|(name, access)| (name.clone(), json!(access))).collect::<serde_json::Map<_, _>>().into()
    }

    pub(super) fn events(&self) -> Value {
        json!(self.events)
    }

    pub(super) fn is_removed(&self, owner: &str) -> bool {
        self.removed.contains(&owner.to_lowercase())
    }

    pub(super) fn is_suspended(&self, owner: &str) -> bool {
        self.suspended.contains(&owner.to_lowercase())
    }

    /// As `/app/hook/config` shows it: a secret is there, and not shown.
    pub(super) fn hook(&self) -> Value {
        let Some((url, has_secret)) = &self.hook else { return json!({ "content_type": "form", "insecure_ssl": "0" }) };
        let mut hook = json!({ "content_type": "json", "insecure_ssl": "0", "url": url });
        if *has_secret {
            hook["secret"] = json!("********");
        }
        hook
    }

    pub(super) fn set_hook(&mut self, url: &str, secret: &str) {
        self.hook = Some((url.to_owned(), !secret.is_empty()));
    }
}

/// What people do in the App's settings, and in those of its installations.
impl FakeGitHub {
    /// Takes a permission from the App, with all its installations.
    pub fn take_permission(&self, name: &str) {
        self.shared.model().registration.permissions.remove(name);
    }

    /// The App asks for this permission, and no installation has accepted it yet.
    pub fn leave_unaccepted(&self, name: &str) {
        self.shared.model().registration.not_accepted.insert(name.to_owned());
    }

    /// Unsubscribes the App from an event.
    pub fn take_event(&self, name: &str) {
        self.shared.model().registration.events.remove(name);
    }

    /// An owner suspends the App's installation.
    pub fn suspend(&self, owner: &str) {
        self.shared.model().registration.suspended.insert(owner.to_lowercase());
    }

    /// And takes that back.
    pub fn unsuspend(&self, owner: &str) {
        self.shared.model().registration.suspended.remove(&owner.to_lowercase());
    }

    /// An owner removes the App.
    pub fn uninstall(&self, owner: &str) {
        self.shared.model().registration.removed.insert(owner.to_lowercase());
    }

    /// And installs it again.
    pub fn install(&self, owner: &str) {
        self.shared.model().registration.removed.remove(&owner.to_lowercase());
    }

    /// Sets GitHub's clock back: everybody else's is so many seconds fast.
    pub fn set_clock_back(&self, seconds: i64) {
        self.shared.model().clock_back = seconds;
    }
}
