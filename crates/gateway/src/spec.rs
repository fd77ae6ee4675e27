//! What is written about a service, made sure of before anything is done with it.

use std::collections::BTreeSet;

use windlass_core::gateway::ServiceSpec;

use crate::refusal::{self, Refusal};

/// Hosts in lower case, paths without a slash at their end, and nothing in it that cannot be served.
pub(crate) fn checked(mut spec: ServiceSpec) -> Result<ServiceSpec, Refusal> {
    let mut errors = Vec::new();
    for route in &mut spec.routes {
        route.host = route.host.trim_end_matches('.').to_ascii_lowercase();
        if route.host.is_empty() {
            errors.push(format!("a route of {} has no host", spec.key));
        }
        if route.host != "*" && route.host.strip_prefix("*.").unwrap_or(&route.host).contains('*') {
            errors.push(format!("host `{}` has a `*` that is not its whole first name", route.host));
        }
        if !route.path.starts_with('/') {
            errors.push(format!("path `{}` does not start with `/`", route.path));
        }
        let path = route.path.trim_end_matches('/');
        route.path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    }
    let mut seen = BTreeSet::new();
    for route in spec.routes.iter().filter(|route| !seen.insert(route.place())) {
        errors.push(format!("route {}{} is there twice", route.host, route.path));
    }
    let mut seen = BTreeSet::new();
    for target in spec.targets.iter().filter(|target| !seen.insert(target.name.as_str())) {
        errors.push(format!("target {} is there twice", target.name));
    }
    if spec.probe.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        errors.push("the probe's path does not start with `/`".to_owned());
    }
    if spec.probe.interval.0.is_zero() || spec.probe.timeout.0.is_zero() {
        errors.push("the probe's interval and timeout must be longer than nothing".to_owned());
    }
    if errors.is_empty() { Ok(spec) } else { Err(refusal::invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    #[test]
    fn routes_are_compared_in_one_spelling() {
        let spec = service("shop", &[("Shop.Test.", "/api/"), ("shop.test", "/")]).spec.clone();
        let routes: Vec<_> = checked(spec).unwrap().routes.into_iter().map(|route| route.host + &route.path).collect();
        assert_eq!(routes, ["shop.test/api", "shop.test/"]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let spec = service("shop", &[("", "/"), ("a.test", "x"), ("b.test", "/"), ("B.test", "/")]).spec.clone();
        let problem = checked(spec).unwrap_err();
        assert_eq!((problem.status, problem.code.as_str(), problem.errors.len()), (422, "invalid_request", 3));
    }
}
