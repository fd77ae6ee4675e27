//! Which service a request is for: by host, then by the longest path prefix of whole segments.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::service::Service;

/// All routes at one moment. Never changed, only replaced whole: whoever has loaded one sees all or nothing of a switch.
#[derive(Debug, Default)]
pub(crate) struct Table {
    hosts: HashMap<String, Vec<Rule>>,
}

#[derive(Debug)]
struct Rule {
    /// Without the slash at its end: `/` is empty here.
    prefix: String,
    service: Arc<Service>,
}

impl Table {
    /// The routes of these services, of which no two have the same one.
    pub(crate) fn new<'a>(services: impl Iterator<Item = &'a Arc<Service>>) -> Self {
        let mut hosts: HashMap<String, Vec<Rule>> = HashMap::new();
        for service in services {
            for route in &service.spec.routes {
                let prefix = route.path.trim_end_matches('/').to_owned();
                hosts.entry(route.host.clone()).or_default().push(Rule { prefix, service: Arc::clone(service) });
            }
        }
        for rules in hosts.values_mut() {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        }
        Self { hosts }
    }

    /// Whose this request is. `host` is as the client wrote it, with a port perhaps.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Service>> {
        let rules = self.hosts.get(plain_host(host).as_ref())?;
        rules.iter().find(|rule| covers(&rule.prefix, path)).map(|rule| &rule.service)
    }
}

/// The name alone: lower-cased, without port and without the root's dot.
fn plain_host(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn covers(prefix: &str, path: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    fn found<'a>(table: &'a Table, host: &str, path: &str) -> Option<&'a str> {
        table.find(host, path).map(|service| service.spec.key.0.as_str())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let services = [
            service("all", &[("shop.test", "/")]),
            service("api", &[("shop.test", "/api")]),
            service("v2", &[("shop.test", "/api/v2/"), ("other.test", "/only")]),
        ];
        let table = Table::new(services.iter());
        for (path, expected) in [
            ("/", "all"),
            ("/apix", "all"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/v2", "v2"),
            ("/api/v2/x", "v2"),
            ("/api/v20", "api"),
            ("*", "all"),
        ] {
            assert_eq!(found(&table, "shop.test", path), Some(expected), "{path}");
        }
        assert_eq!(found(&table, "other.test", "/"), None);
        assert_eq!(found(&table, "unknown.test", "/"), None);
        assert_eq!(found(&table, "", "/"), None);
    }

    #[test]
    fn hosts_match_in_any_case_and_with_any_port() {
        let services = [service("all", &[("shop.test", "/")]), service("six", &[("[::1]", "/")])];
        let table = Table::new(services.iter());
        for host in ["shop.test", "SHOP.test", "shop.test:8080", "Shop.Test.:80", "shop.test."] {
            assert_eq!(found(&table, host, "/"), Some("all"), "{host}");
        }
        assert_eq!(found(&table, "[::1]:8080", "/"), Some("six"));
        assert_eq!(found(&table, "[::1]", "/"), Some("six"));
        assert_eq!(found(&table, "shop.test:evil", "/"), None);
    }
}
