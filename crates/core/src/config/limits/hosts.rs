//! Whose a host name is. Projects may be allowed the same names by a pattern, or by the same entry of `limits.urls`: then a
//! name belongs to the project that had it first. What the server's file gives to one more closely, an exact name or a path
//! of it, wins over that.

use super::{Limits, Refusal};
use crate::config::AppConfig;
use crate::gateway::Route;
use crate::names::AppName;

/// A host, or the part of it below a path, that a project has: what it serves there, and the entry of `limits.urls` that
/// allows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// As in a route: `*.` and `*` stand for many.
    pub host: String,
    /// The path of the entry; `/` without one.
    pub path: String,
}

impl Claim {
    /// An entry of `limits.urls`.
    pub(super) fn of_entry(entry: &str) -> Self {
        match entry.split_once('/') {
            Some((host, path)) => Self { host: host.to_owned(), path: format!("/{path}") },
            None => Self { host: entry.to_owned(), path: "/".to_owned() },
        }
    }

    /// `*.` allows the names below and the wildcard itself; `*` allows all, and what is for every host.
    fn allows(&self, route: &Route) -> bool {
        has_host(&self.host, &route.host) && is_below(&route.path, &self.path)
    }

    /// Whether it is said more closely than another: by the host or by the path.
    fn is_closer_than(&self, other: &Self) -> bool {
        closeness(&self.host) > closeness(&other.host) || depth(&self.path) > depth(&other.path)
    }

    /// Whether the route would get requests that belong to this.
    fn loses_to(&self, route: &Route) -> bool {
        let closer = closeness(&route.host) > closeness(&self.host);
        has_host(&self.host, &route.host)
            && (is_below(&route.path, &self.path) || closer && is_below(&self.path, &route.path))
    }
}

/// Who has what, as one project sees it.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// What the project itself serves, or is about to.
    pub own: Vec<Claim>,
    /// What others do.
    pub others: Vec<Claim>,
    /// What the server's file allows others, whether they serve it or not.
    pub allowed: Vec<Claim>,
}

impl Claims {
    /// Whether the project has the route, so that a wildcard of another came later.
    fn has(&self, route: &Route) -> bool {
        self.own.iter().any(|own| own.host == route.host && is_below(&route.path, &own.path))
    }
}

impl Limits {
    /// As what the project has this route, once it is active; `None`: it is not allowed.
    #[must_use]
    pub fn claim(&self, route: &Route) -> Option<Claim> {
        let entry = self.entry(route)?;
        Some(Claim { host: route.host.clone(), path: entry.path })
    }

    /// Whether a route's host is other projects', too: what allows it names a path.
    #[must_use]
    pub fn shares_host_of(&self, route: &Route) -> bool {
        self.claim(route).is_some_and(|claim| claim.path != "/")
    }

    /// As what the project has all of an app's addresses.
    pub fn claims<'a>(&'a self, app: &'a AppConfig) -> impl Iterator<Item = Claim> + 'a {
        app.addresses().filter_map(|(_, route)| self.claim(route))
    }

    /// The first of an app's addresses that would take from other projects what is theirs.
    #[must_use]
    pub fn taken(&self, name: &AppName, app: &AppConfig, claims: &Claims) -> Option<Refusal> {
        let (key, route) = app.addresses().find(|(_, route)| self.takes(route, claims))?;
        let path = if route.path == "/" { "/docs" } else { &route.path };
        Some(Refusal {
            app: name.clone(),
            role: None,
            key,
            message: format!("has {}, and that host is another project's on this server", route.address()),
            remedy: format!(
                "choose another host in windlass.toml; to share one path by path, add an entry with a path, such as \
                 \"{}{path}\", to the project's `limits.urls` in windlass-server.toml",
                route.host
            ),
        })
    }

    /// What these entries allow.
    #[must_use]
    pub fn entries(&self) -> Vec<Claim> {
        self.urls.iter().map(|entry| Claim::of_entry(entry)).collect()
    }

    /// Whether the route would take from other projects what is theirs.
    fn takes(&self, route: &Route, claims: &Claims) -> bool {
        let Some(entry) = self.entry(route) else { return false };
        let has = claims.has(route);
        let came_later = |claim: &Claim| has && closeness(&claim.host) < closeness(&route.host);
        let mut had = claims.others.iter().filter(|claim| claim.loses_to(route) && !came_later(claim));
        let mut allowed = claims.allowed.iter().filter(|claim| claim.loses_to(route));
        had.any(|claim| !entry.is_closer_than(claim))
            || allowed.any(|claim| claim.is_closer_than(&entry) && !entry.is_closer_than(claim))
    }

    /// Whether some paths of the host are allowed.
    pub(super) fn allows_part_of(&self, host: &str) -> bool {
        self.entries().iter().any(|entry| has_host(&entry.host, host))
    }

    /// The entry that allows it: the one that says it most closely.
    fn entry(&self, route: &Route) -> Option<Claim> {
        let entries = self.entries().into_iter().filter(|entry| entry.allows(route));
        entries.max_by_key(|entry| (depth(&entry.path), closeness(&entry.host)))
    }
}

/// Whether one host name, or pattern, stands for another.
fn has_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(name, rest)| !name.is_empty() && rest == domain),
        None => pattern == "*" || pattern == host,
    }
}

/// By whole segments.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn closeness(host: &str) -> u8 {
    match host.strip_prefix('*') {
        None => 2,
        Some("") => 0,
        Some(_) => 1,
    }
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|segment| !segment.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(urls: &[&str]) -> Limits {
        Limits { urls: urls.iter().map(ToString::to_string).collect(), ..Limits::default() }
    }

    fn route(address: &str) -> Route {
        let Claim { host, path } = Claim::of_entry(address);
        Route::new(host, path)
    }

    /// Whether a project of these entries may serve an address, while another one of those entries serves others.
    fn takes(own: &[&str], address: &str, of_other: &[&str], served: &[&str]) -> bool {
        takes_again(own, &[], address, of_other, served)
    }

    /// The same of a project that serves something already.
    fn takes_again(own: &[&str], had: &[&str], address: &str, of_other: &[&str], served: &[&str]) -> bool {
        let (own, other) = (limits(own), limits(of_other));
        let claims = |limits: &Limits, served: &[&str]| {
            served.iter().map(|address| limits.claim(&route(address)).expect("it is allowed")).collect()
        };
        let claims = Claims { own: claims(&own, had), others: claims(&other, served), allowed: other.entries() };
        own.takes(&route(address), &claims)
    }

    #[test]
    fn a_host_belongs_to_the_project_that_had_it_first_with_all_its_paths() {
        for allowed in ["*.example.com", "shop.example.com", "*"] {
            for address in ["shop.example.com", "shop.example.com/login", "shop.example.com/api/v1"] {
                assert!(takes(&[allowed], address, &[allowed], &["shop.example.com"]), "{allowed}: {address}");
                assert!(takes(&[allowed], address, &[allowed], &["shop.example.com/api"]), "{allowed}: {address}");
                assert!(!takes(&[allowed], address, &[allowed], &[]), "{allowed}: {address}");
            }
        }
        assert!(!takes(&["*.example.com"], "blog.example.com", &["*.example.com"], &["shop.example.com"]));
    }

    #[test]
    fn a_wildcard_has_the_names_below_it_that_nobody_had_before() {
        let all = ["*.example.com", "*"];
        assert!(takes(&all, "shop.example.com", &all, &["*.example.com"]), "another's name");
        assert!(!takes(&all, "shop.example.com", &all, &["*"]), "named more closely than every host");
        assert!(takes(&["*"], "shop.example.com", &["*"], &["*"]));
        assert!(!takes(&all, "*.example.com", &all, &["shop.example.com"]), "the exact one wins anyway");
        assert!(takes(&all, "*.example.com", &all, &["*.example.com"]));
        assert!(takes(&["*"], "*.example.com", &["*"], &["*"]));
        assert!(takes(&all, "shop.example.com/api", &all, &["*.example.com"]), "a part of another's name");
        assert!(!takes(&all, "shop.example.com/api", &["*.example.com/web"], &["*.example.com/web"]), "another part");
        assert!(
            takes(&all, "shop.example.com", &["*.example.com/web"], &["*.example.com/web"]),
            "above another's part"
        );
        assert!(!takes(&all, "shop.example.org", &all, &["*.example.com"]));
    }

    #[test]
    fn who_had_a_name_before_anothers_wildcard_keeps_it() {
        let all = ["*.example.com", "*"];
        let again = |had: &[&str], address: &str, served: &[&str]| takes_again(&all, had, address, &all, served);
        for address in ["shop.example.com", "shop.example.com/login"] {
            for had in ["shop.example.com", "shop.example.com/api"] {
                assert!(!again(&[had], address, &["*.example.com"]), "{had} {address}");
                assert!(!again(&[had], address, &["*"]), "{had} {address}");
            }
            assert!(again(&["blog.example.com", "*"], address, &["*.example.com"]), "{address}");
        }
        assert!(!again(&["*.example.com"], "*.example.com", &["*", "shop.example.com"]));
        assert!(again(&["*.example.com"], "shop.example.com", &["shop.example.com"]), "another's name below one's own");
        let part = ["shop.example.com/api"];
        assert!(
            takes_again(&["shop.example.com"], &["shop.example.com"], part[0], &part, &part),
            "a part of one's own"
        );
    }

    #[test]
    fn what_the_servers_file_says_more_closely_wins() {
        let (wide, exact) = (["*.example.com"], ["shop.example.com"]);
        assert!(!takes(&exact, "shop.example.com", &wide, &["*.example.com"]), "named exactly, out of a wildcard");
        assert!(takes(&exact, "shop.example.com", &wide, &["shop.example.com"]), "but not out of somebody's hands");
        assert!(takes(&wide, "shop.example.com", &exact, &[]), "kept for whom the file names");
        assert!(!takes(&wide, "blog.example.com", &exact, &[]));

        let part = ["shop.example.com/api"];
        assert!(!takes(&part, "shop.example.com/api", &wide, &["shop.example.com"]), "shared path by path");
        assert!(!takes(&part, "shop.example.com/api/v2", &exact, &["shop.example.com"]));
        for own in [&wide, &exact] {
            assert!(takes(own, "shop.example.com/api", &part, &[]), "{own:?}");
            assert!(takes(own, "shop.example.com/api/login", &part, &["shop.example.com/api"]), "{own:?}");
            assert!(!takes(own, "shop.example.com", &part, &["shop.example.com/api"]), "{own:?}");
            assert!(!takes(own, "shop.example.com/apis", &part, &["shop.example.com/api"]), "{own:?}");
        }
        assert!(takes(&part, "shop.example.com/api", &part, &["shop.example.com/api"]), "two of the same: the first");
        assert!(!takes(&part, "shop.example.com/api", &part, &[]));
        assert!(limits(&part).claim(&route("shop.example.com")).is_none(), "and nothing else of it");
        assert!(limits(&part).claim(&route("shop.example.com/apis")).is_none());
    }
}
