//! Which service a request is for: by host, an exact name before `*.` and that before `*`, then by the longest path prefix
//! of whole segments. A name that has no route for the path leaves it to the next, but to no other project's where the name
//! is one project's alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use windlass_core::gateway::wildcard_of;

use crate::meters::RouteMeter;
use crate::path::{self, HasNul, Reading};
use crate::service::Service;

/// All routes at one moment. Never changed, only replaced whole: whoever has loaded one sees all or nothing of a switch.
#[derive(Debug, Default)]
pub(crate) struct Table {
    hosts: HashMap<String, Rules>,
}

/// What is said of one name.
#[derive(Debug, Default)]
struct Rules {
    /// The longest prefix first.
    by_prefix: Vec<Rule>,
    /// The project that has the whole name, where one has.
    owner: Option<String>,
}

/// A route of a service.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Without the slash at its end: `/` is empty here.
    prefix: String,
    /// As an app that reads generously would have it, where that is something else.
    generous: Option<String>,
    pub(crate) service: Arc<Service>,
    redirect: Option<String>,
    https: bool,
    strip_prefix: bool,
    /// What counts its requests; `None`: nothing does.
    pub(crate) meter: Option<Arc<RouteMeter>>,
}

impl Rule {
    fn way(&self) -> Way<'_> {
        let strip = self.strip_prefix.then_some(self.prefix.as_str());
        match &self.redirect {
            Some(there) => Way::Redirect(self, there),
            None => Way::Serve(Served { rule: self, service: &self.service, https: self.https, strip }),
        }
    }
}

/// A service, as one of its routes leads to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served<'a> {
    rule: &'a Rule,
    pub(crate) service: &'a Arc<Service>,
    /// Who comes in the clear is sent away.
    pub(crate) https: bool,
    /// What the app does not see of the path.
    pub(crate) strip: Option<&'a str>,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// One of the service's targets gets it.
    Serve(Served<'a>),
    /// The client is to ask this scheme and host instead.
    Redirect(&'a Rule, &'a str),
}

impl<'a> Way<'a> {
    /// The route that it is by.
    pub(crate) fn rule(self) -> &'a Rule {
        match self {
            Self::Serve(Served { rule, .. }) | Self::Redirect(rule, _) => rule,
        }
    }

    /// Whether two requests end in the same place.
    pub(crate) fn is_same(one: Option<Self>, other: Option<Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(Self::Serve(one)), Some(Self::Serve(other))) => {
                Arc::ptr_eq(one.service, other.service) && one.strip == other.strip
            }
            (Some(Self::Redirect(_, one)), Some(Self::Redirect(_, other))) => one == other,
            _ => false,
        }
    }
}

impl Table {
    /// The routes of these services, of which no two have the same one.
    pub(crate) fn new<'a>(services: impl Iterator<Item = &'a Arc<Service>>) -> Self {
        let mut hosts: HashMap<String, Rules> = HashMap::new();
        for service in services {
            for (number, route) in service.spec.routes.iter().enumerate() {
                let (prefix, generous) = read(&route.path);
                let rules = hosts.entry(route.host.clone()).or_default();
                if !route.shares_host {
                    rules.owner = Some(service.spec.key.project().to_owned());
                }
                rules.by_prefix.push(Rule {
                    prefix,
                    generous,
                    service: Arc::clone(service),
                    redirect: route.redirect.clone(),
                    https: route.https,
                    strip_prefix: route.strip_prefix,
                    meter: service.meters.get(number).cloned(),
                });
            }
        }
        for rules in hosts.values_mut() {
            rules.by_prefix.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
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
        let wildcard = iter::once_with(|| wildcard_of(&host)).flatten().map(Cow::Owned);
        let names = iter::once(Cow::Borrowed(&*host)).chain(wildcard).chain([Cow::Borrowed("*")]);
        let mut owner = None;
        for rules in names.filter_map(|name| self.hosts.get(&*name)) {
            let may = |rule: &&Rule| owner.is_none_or(|owner| rule.service.spec.key.project() == owner);
            if let Some(rule) = rules.by_prefix.iter().filter(may).find(|rule| covers(rule)) {
                return Some(rule.way());
            }
            owner = owner.or(rules.owner.as_deref());
        }
        None
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

fn covers(prefix: &str, path: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use windlass_core::gateway::Route;

    use super::*;
    use crate::service::testing::{service, service_of};

    fn found<'a>(table: &'a Table, host: &str, path: &str) -> Option<&'a str> {
        match table.find(host, path)? {
            Way::Serve(served) => Some(served.service.spec.key.0.as_str()),
            Way::Redirect(_, to) => Some(to),
        }
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_that_over_every_host() {
        let services = [
            service("1/all", &[("*", "/")]),
            service("1/any", &[("*.shop.test", "/")]),
            service("1/eu", &[("eu.shop.test", "/api")]),
            service("1/deep", &[("*.eu.shop.test", "/")]),
        ];
        let table = Table::new(services.iter());
        for (host, path, expected) in [
            ("eu.shop.test", "/api/x", "1/eu"),
            ("eu.shop.test", "/", "1/any"),
            ("US.shop.test.:80", "/api", "1/any"),
            ("a.eu.shop.test", "/", "1/deep"),
            ("a.b.shop.test", "/", "1/all"),
            ("shop.test", "/", "1/all"),
            (".shop.test", "/", "1/all"),
            ("*.shop.test", "/", "1/any"),
            ("", "/", "1/all"),
        ] {
            assert_eq!(found(&table, host, path), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn what_a_project_does_not_serve_of_its_own_name_falls_to_no_other_project() {
        let table = |shares_host: bool| {
            let part = Route { shares_host, ..Route::new("eu.shop.test", "/api") };
            let services = [
                service_of("1/part", vec![part]),
                service_of("2/any", vec![Route::new("*.shop.test", "/web")]),
                service_of("1/any", vec![Route { shares_host: true, ..Route::new("*.shop.test", "/docs") }]),
                service_of("1/all", vec![Route::new("*", "/")]),
                service_of("3/all", vec![Route { shares_host: true, ..Route::new("*", "/status") }]),
            ];
            Table::new(services.iter())
        };
        let whole = [
            ("eu.shop.test", "/api", Some("1/part")),
            ("eu.shop.test", "/web", Some("1/all")),
            ("eu.shop.test", "/docs", Some("1/any")),
            ("eu.shop.test", "/status", Some("1/all")),
            ("us.shop.test", "/web", Some("2/any")),
            ("us.shop.test", "/docs", Some("1/any")),
            ("us.shop.test", "/", None),
            ("us.shop.test", "/status", None),
            ("other.test", "/status", Some("3/all")),
        ];
        let shared = [
            ("eu.shop.test", "/web", Some("2/any")),
            ("eu.shop.test", "/", None),
            ("eu.shop.test", "/api", Some("1/part")),
        ];
        for (shares_host, expected) in [(false, &whole[..]), (true, &shared[..])] {
            let table = table(shares_host);
            for (host, path, service) in expected {
                assert_eq!(found(&table, host, path), *service, "{shares_host}: {host}{path}");
            }
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
