//! Which service a request is for: by host, an exact name before `*.` and that before `*`, then by the longest path prefix
//! of whole segments. A name that has no route for the path leaves it to the next.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::path::{self, HasNul, Reading};
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
    /// As an app that reads generously would have it, where that is something else.
    generous: Option<String>,
    service: Arc<Service>,
    redirect: Option<String>,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// One of the service's targets gets it.
    Serve(&'a Arc<Service>),
    /// The client is to ask this scheme and host instead.
    Redirect(&'a str),
}

impl Way<'_> {
    /// Whether two requests end in the same place.
    pub(crate) fn is_same(one: Option<Self>, other: Option<Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(Self::Serve(one)), Some(Self::Serve(other))) => Arc::ptr_eq(one, other),
            (Some(Self::Redirect(one)), Some(Self::Redirect(other))) => one == other,
            _ => false,
        }
    }
}

impl Table {
    /// The routes of these services, of which no two have the same one.
    pub(crate) fn new<'a>(services: impl Iterator<Item = &'a Arc<Service>>) -> Self {
        let mut hosts: HashMap<String, Vec<Rule>> = HashMap::new();
        for service in services {
            for route in &service.spec.routes {
                let (prefix, generous) = read(&route.path);
                hosts.entry(route.host.clone()).or_default().push(Rule {
                    prefix,
                    generous,
                    service: Arc::clone(service),
                    redirect: route.redirect.clone(),
                });
            }
        }
        for rules in hosts.values_mut() {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        }
        Self { hosts }
    }

    /// Whose this request is. `host` is as the client wrote it, with a port perhaps.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Way<'_>> {
        self.find_by(host, |rule| covers(&rule.prefix, path))
    }

    /// The same for a path that was read generously: so are the routes' then.
    pub(crate) fn find_generously(&self, host: &str, path: &str) -> Option<Way<'_>> {
        self.find_by(host, |rule| covers(rule.generous.as_ref().unwrap_or(&rule.prefix), path))
    }

    fn find_by(&self, host: &str, covers: impl Fn(&Rule) -> bool) -> Option<Way<'_>> {
        let host = plain_host(host);
        let rule = |host: &str| self.hosts.get(host)?.iter().find(|rule| covers(rule));
        let rule = rule(&host).or_else(|| rule(&wildcard(&host)?)).or_else(|| rule("*"));
        rule.map(|rule| match &rule.redirect {
            Some(to) => Way::Redirect(to),
            None => Way::Serve(&rule.service),
        })
    }
}

/// A route's path as requests' are read, both without the slash at the end.
fn read(path: &str) -> (String, Option<String>) {
    let bare = |path: &str| path.trim_end_matches('/').to_owned();
    match path::read(path) {
        Ok(Reading { plain, generous }) => (bare(&plain), generous.as_deref().map(bare)),
        // No request that has such a path gets here.
        Err(HasNul) => (bare(path), None),
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

/// `a.shop.test` is any one name below `shop.test`.
fn wildcard(host: &str) -> Option<String> {
    let (name, rest) = host.split_once('.')?;
    (!name.is_empty() && !rest.is_empty()).then(|| format!("*.{rest}"))
}

fn covers(prefix: &str, path: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    fn found<'a>(table: &'a Table, host: &str, path: &str) -> Option<&'a str> {
        match table.find(host, path)? {
            Way::Serve(service) => Some(service.spec.key.0.as_str()),
            Way::Redirect(to) => Some(to),
        }
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_that_over_every_host() {
        let services = [
            service("all", &[("*", "/")]),
            service("any", &[("*.shop.test", "/")]),
            service("eu", &[("eu.shop.test", "/api")]),
            service("deep", &[("*.eu.shop.test", "/")]),
        ];
        let table = Table::new(services.iter());
        for (host, path, expected) in [
            ("eu.shop.test", "/api/x", "eu"),
            ("eu.shop.test", "/", "any"),
            ("US.shop.test.:80", "/api", "any"),
            ("a.eu.shop.test", "/", "deep"),
            ("a.b.shop.test", "/", "all"),
            ("shop.test", "/", "all"),
            (".shop.test", "/", "all"),
            ("*.shop.test", "/", "any"),
            ("", "/", "all"),
        ] {
            assert_eq!(found(&table, host, path), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn a_route_is_read_as_a_request_is() {
        let services = [service("all", &[("shop.test", "/")]), service("own", &[("shop.test", "/caf%c3%a9/%7Ea;b/")])];
        let table = Table::new(services.iter());
        assert_eq!(found(&table, "shop.test", "/caf%C3%A9/~a;b/x"), Some("own"));
        let generously = |path| table.find_generously("shop.test", path);
        assert!(Way::is_same(generously("/caf\u{e9}/~a/x"), table.find("shop.test", "/caf%C3%A9/~a;b/x")));
        assert!(!Way::is_same(generously("/caf\u{e9}"), table.find("shop.test", "/caf%C3%A9/~a;b/x")));
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
