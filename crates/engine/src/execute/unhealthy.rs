//! What a target that does not become healthy has answered, what that usually means, and what to do about it.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{Prepare, Probe, Target};
use windlass_core::problem::Problem;
use windlass_core::quantity::Duration;

use crate::engine::Engine;
use crate::execute::StepContext;

/// A gateway's word, and the app's own last lines.
pub(super) async fn unhealthy(engine: &Engine, request: &Prepare, problem: &Problem, context: &StepContext) -> Failure {
    let targets = &request.service.targets;
    let failing = targets.iter().find_map(|target| Some((target, answer(target, problem)?)));
    let Some((target, answer)) = failing else {
        let mut summary = problem.to_string();
        if !problem.errors.is_empty() {
            summary = format!("{summary}: {}", problem.errors.join("; "));
        }
        return Failure::new(FailureCode::Unhealthy, summary);
    };
    let (mut summary, mut hint) = words(target, &request.service.probe, request.deadline, answer);
    if problem.errors.len() > 1 {
        summary = format!("{summary}, and {} more failed", problem.errors.len() - 1);
    }
    let log = engine.last_lines(&target.name, context.masker()).await;
    if !log.is_empty() {
        hint = format!("{hint}; the lines above are the last that {} wrote", target.name);
    }
    let summary = context.masker().mask(&summary).into_owned();
    Failure::new(FailureCode::Unhealthy, summary).log(log).hint(hint)
}

/// A gateway names each failing target: `name (address): answer`.
fn answer<'a>(target: &Target, problem: &'a Problem) -> Option<&'a str> {
    let prefix = format!("{} ({}): ", target.name, target.address);
    problem.errors.iter().find_map(|error| error.strip_prefix(&prefix))
}

/// What happened, and what to do.
fn words(target: &Target, probe: &Probe, deadline: Duration, answer: &str) -> (String, String) {
    let Target { name, address } = target;
    let port = address.port();
    let path = probe.path.as_deref().unwrap_or_default();
    let asked = if path.is_empty() { address.to_string() } else { format!("http://{address}{path}") };
    if let Some(answered) = answer.strip_prefix("HTTP ") {
        return answered_with(&asked, path, answered, deadline);
    }
    let (meaning, hint) = match answer {
        "connection refused" => (
            format!(
                ": nothing listens on port {port} of its address; an app that listens on 127.0.0.1 only looks like that"
            ),
            format!("let the app listen on 0.0.0.0, or make `port` the one that it listens on; it was asked at {port}"),
        ),
        "connection closed without an answer" | "connection reset" | "an answer that is not HTTP" => (
            String::new(),
            format!("does the app speak plain HTTP on port {port}? TLS ends in front of the gateway, not in the app"),
        ),
        "no route to host" | "network unreachable" | "connecting timed out" => (
            String::new(),
            "does the gateway run on the host itself, and does the host's firewall let it reach the containers?"
                .to_owned(),
        ),
        slow if slow.starts_with("no answer") => (
            String::new(),
            format!("{name} runs: find what it waits for, or raise `timeout` and `deadline` of its `health`"),
        ),
        _ => (String::new(), format!("{name} runs, but does not do its work")),
    };
    (format!("{asked}: {answer} for {deadline}{meaning}"), hint)
}

/// `answered` is a status, and for a redirect where to.
fn answered_with(asked: &str, path: &str, answered: &str, deadline: Duration) -> (String, String) {
    let (status, there) = answered.split_once(" to ").map_or((answered, None), |(status, there)| (status, Some(there)));
    let another = "or name another path: `health = { path = … }`";
    let of_url = "an app that knows its host names has to know those of its `url`";
    let (meaning, hint) = match (status, there) {
        (_, Some(there)) if there.starts_with("https://") => (
            "the path must answer itself",
            format!(
                "an app that forces https is asked as by https where all its `url`s are https; else take {path} out of the \
                 redirect, {another}"
            ),
        ),
        (_, Some(_)) => ("the path must answer itself", format!("take {path} out of the redirect, {another}")),
        ("401" | "407", _) => ("it asks for a login", format!("let {path} answer without one, {another}")),
        ("403", _) => ("it lets nobody see that", format!("let {path} answer everybody, {another}; {of_url}")),
        ("404" | "410", _) => ("there is nothing at this path", format!("let the app answer there, {another}")),
        ("400" | "421", _) => ("it does not take the request", format!("{of_url}; or let {path} answer whoever asks")),
        ("405", _) => ("it does not answer GET there", format!("let {path} answer GET, {another}")),
        ("429", _) => ("it was asked too often", format!("take {path} out of the app's rate limit")),
        _ => {
            let summary = format!("{asked} answered HTTP {answered} for {deadline}");
            return (summary, "the app says of itself that it is not well".to_owned());
        }
    };
    (format!("{asked} answered for {deadline} with {answered}: {meaning}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: Option<&str>, answer: &str) -> (String, String) {
        let target = Target { name: "shop-web-1".to_owned(), address: ([10, 0, 0, 2], 3000).into() };
        let second = Duration::from_secs(1);
        let probe = Probe { path: path.map(ToOwned::to_owned), interval: second, timeout: second };
        words(&target, &probe, Duration::from_secs(60), answer)
    }

    #[test]
    fn each_answer_is_said_with_what_it_means() {
        for (answer, expected) in [
            (
                "HTTP 301 to https://shop.test/up",
                "http://10.0.0.2:3000/up answered for 60s with 301 to https://shop.test/up: the path must answer itself",
            ),
            (
                "HTTP 302 to /login",
                "http://10.0.0.2:3000/up answered for 60s with 302 to /login: the path must answer itself",
            ),
            ("HTTP 401", "http://10.0.0.2:3000/up answered for 60s with 401: it asks for a login"),
            ("HTTP 404", "http://10.0.0.2:3000/up answered for 60s with 404: there is nothing at this path"),
            ("HTTP 503", "http://10.0.0.2:3000/up answered HTTP 503 for 60s"),
            ("HTTP 304", "http://10.0.0.2:3000/up answered HTTP 304 for 60s"),
            ("no answer within 5s", "http://10.0.0.2:3000/up: no answer within 5s for 60s"),
            (
                "connection refused",
                "http://10.0.0.2:3000/up: connection refused for 60s: nothing listens on port 3000 of its address; an app \
                 that listens on 127.0.0.1 only looks like that",
            ),
            ("an answer that is not HTTP", "http://10.0.0.2:3000/up: an answer that is not HTTP for 60s"),
            ("something new", "http://10.0.0.2:3000/up: something new for 60s"),
        ] {
            assert_eq!(said(Some("/up"), answer).0, expected.replace("60s", "1m"), "{answer}");
        }
        let port = said(None, "connection refused").0;
        assert!(port.starts_with("10.0.0.2:3000: connection refused"), "{port}");
    }

    #[test]
    fn nobody_is_sent_to_lines_that_are_not_there() {
        for answer in ["HTTP 503", "HTTP 301 to /", "HTTP 200", "connection refused", "no answer yet", "whatever"] {
            let (summary, hint) = said(Some("/up"), answer);
            assert!(!format!("{summary}{hint}").contains("above"), "{summary} {hint}");
        }
    }
}
