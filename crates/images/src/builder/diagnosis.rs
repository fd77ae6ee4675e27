//! Reads what BuildKit, the engine and registries say when they fail. They say it in sentences, which differ between
//! versions: what is not recognised is handed on as it is.

use std::path::PathBuf;

use tonic::Status;
use windlass_core::names::ImageName;
use windlass_registry::{RegistryCredentials, RegistryError};

use super::BuildRequest;
use super::error::BuildError;
use super::progress::FailedStep;
use crate::dockerfile::{instruction, line_of};

/// Why a build failed. `text` is what the Dockerfile says.
pub(super) fn of_build(status: &Status, step: Option<FailedStep>, request: &BuildRequest, text: &str) -> BuildError {
    let message = without_preamble(status.message());
    // Where a cache is worth a failed build to somebody.
    let message = if message.contains("sig=") { of_cache(message) } else { message.to_owned() };
    let file = request.dockerfile.clone();
    if message.starts_with("target stage") && message.ends_with("could not be found") {
        return BuildError::NoSuchTarget { file, target: request.target.clone().unwrap_or_default() };
    }
    if let Some((line, message)) = parse_error(&message) {
        return BuildError::Dockerfile { file, line, message };
    }
    if let Some(step) = step {
        return of_step(step, request, file, text);
    }
    // Without the progress, the message is all there is.
    match exit_code(&message) {
        Some(reason) => BuildError::StepFailed { file, line: None, step: command(&message), reason, log: Vec::new() },
        None => BuildError::Refused { action: "build the image".to_owned(), reason: message },
    }
}

fn of_step(step: FailedStep, request: &BuildRequest, file: PathBuf, text: &str) -> BuildError {
    let reason = without_preamble(&step.reason).to_owned();
    if let Some(image) = base_image(&step.name) {
        return of_base_image(image, reason, request);
    }
    let line = line_of(text, &step.name);
    let name = instruction(&step.name).to_owned();
    match name.split(' ').next() {
        Some("RUN") => {
            let foreign = |text: &String| text.contains("exec format error");
            if foreign(&reason) || step.log.iter().any(foreign) {
                return BuildError::PlatformUnsupported { file, line, step: name };
            }
            let reason = exit_code(&reason).unwrap_or(reason);
            BuildError::StepFailed { file, line, step: name, reason, log: step.log }
        }
        Some("ADD" | "COPY" | "WORKDIR") => {
            BuildError::Dockerfile { file, line, message: format!("`{name}` failed: {}", not_twice(&reason)) }
        }
        _ => BuildError::Refused { action: "build the image".to_owned(), reason: format!("{name}: {reason}") },
    }
}

/// Why a push failed. `words` are the registry's, or the connection's.
pub(super) fn of_push(words: String, image: &ImageName, credentials: Option<&RegistryCredentials>) -> RegistryError {
    let (registry, image) = (image.registry().to_owned(), image.clone());
    let account = credentials.map(|credentials| credentials.username.clone());
    match (Refusal::of(&words), account) {
        (Refusal::Silent, _) => RegistryError::Unreachable { registry, image, reason: words },
        (Refusal::Login | Refusal::Denied, None) => RegistryError::LoginMissing { registry, image, words },
        (Refusal::Login, Some(account)) => RegistryError::LoginRefused { registry, image, account, words },
        (Refusal::Denied, Some(account)) => RegistryError::PushDenied { registry, image, account, words },
        (Refusal::Other, _) => RegistryError::Answered { action: "push", registry, image, words, status: None },
    }
}

/// Why there is no base image. Docker Hub denies also what does not exist.
fn of_base_image(image: &str, reason: String, request: &BuildRequest) -> BuildError {
    let registry = registry(image).to_owned();
    match Refusal::of(&reason) {
        Refusal::Silent => BuildError::Unreachable { registry, reason },
        Refusal::Login => {
            let username = request.credentials.get(&registry).map(|login| login.username.clone());
            BuildError::LoginRefused { registry, username, reason }
        }
        Refusal::Denied | Refusal::Other => BuildError::BaseImageUnavailable { image: image.to_owned(), reason },
    }
}

/// What is said of a cache, in one line, and without what stands behind a `?`: its addresses are signed, and whoever has
/// one may write there for a while.
pub(super) fn of_cache(words: &str) -> String {
    let lines = words.lines().map(str::trim).filter(|line| line.contains(|letter: char| letter != '-'));
    let words = lines.collect::<Vec<_>>().join("; ");
    let mut shown = String::new();
    let mut rest = words.as_str();
    while let Some((before, query)) = rest.split_once('?') {
        shown.push_str(before);
        shown.push('?');
        rest = query.find(['"', ' ', ';']).map_or("", |end| &query[end..]);
    }
    shown + rest
}

/// What registries' refusals have in common.
enum Refusal {
    Silent,
    Login,
    Denied,
    Other,
}

impl Refusal {
    fn of(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let says = |any: &[&str]| any.iter().any(|one| words.contains(one));
        if says(&["no such host", "dial tcp", "i/o timeout", "tls: ", "x509: ", "server gave http response"]) {
            Self::Silent
        } else if says(&[
            "unauthorized",
            "unauthenticated",
            "no basic auth credentials",
            "authentication required",
            "incorrect username",
        ]) {
            Self::Login
        } else if says(&["denied", "forbidden", "insufficient_scope"]) {
            Self::Denied
        } else {
            Self::Other
        }
    }
}

/// The error and what lies below it: the outermost alone is "transport error".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}

/// As [`ImageName::registry`], of what may have a tag.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// The image that a step is about: one to build upon, or the program that reads the Dockerfile.
fn base_image(step: &str) -> Option<&str> {
    let starts = ["[internal] load metadata for ", "resolve image config for "];
    let image = starts.iter().find_map(|start| step.strip_prefix(start));
    let image = image.or_else(|| instruction(step).strip_prefix("FROM "))?;
    image.trim_start_matches("docker-image://").split([' ', '@']).next()
}

fn without_preamble(message: &str) -> &str {
    const PREAMBLES: [&str; 2] = ["failed to create LLB definition", "failed to compute cache key"];
    let mut rest = message;
    while let Some((preamble, message)) = rest.split_once(": ")
        && (preamble.starts_with("failed to solve") || PREAMBLES.contains(&preamble))
    {
        rest = message;
    }
    rest
}

/// `dockerfile parse error line 2: …`, since Docker 23 `dockerfile parse error on line 2: …`. Other mistakes come
/// without a line.
fn parse_error(message: &str) -> Option<(Option<u32>, String)> {
    const BEGINNINGS: [&str; 4] = [
        "the Dockerfile cannot be empty",
        "file with no instructions",
        "no build stage in current context",
        "base name (",
    ];
    if let Some(rest) = message.strip_prefix("dockerfile parse error ") {
        let (place, message) = rest.split_once(": ")?;
        let line = place.trim_start_matches("on ").strip_prefix("line ")?;
        return Some((line.parse().ok(), message.to_owned()));
    }
    let known = BEGINNINGS.iter().any(|beginning| message.starts_with(beginning));
    (known || message.ends_with("must have two arguments")).then(|| (None, message.to_owned()))
}

/// `executor failed running [/bin/sh -c x]: exit code: 3` or, since Docker 23, `process "/bin/sh -c x" did not complete
/// successfully: exit code: 3`.
fn exit_code(message: &str) -> Option<String> {
    let (_, code) = message.rsplit_once("exit code: ")?;
    code.parse::<u32>().ok().map(|code| format!("exit code {code}"))
}

fn command(message: &str) -> String {
    let between = |open: &str, close: &str| {
        let (_, rest) = message.split_once(open)?;
        rest.rsplit_once(close).map(|(command, _)| format!("RUN {command}"))
    };
    let command = between("process \"", "\" did not").or_else(|| between("running [", "]: exit code"));
    command.unwrap_or_else(|| "a step".to_owned())
}

/// `"/a" not found: not found`.
fn not_twice(reason: &str) -> &str {
    reason.strip_suffix(": not found").filter(|rest| rest.ends_with("not found")).unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DOCKERFILE: &str = "FROM scratch AS a\nCOPY a /a\nRUN false\n";

    fn request() -> BuildRequest {
        let login = RegistryCredentials { username: "bot".to_owned(), password: "hunter2".into() };
        BuildRequest {
            dockerfile: "Dockerfile".into(),
            target: Some("b".to_owned()),
            credentials: BTreeMap::from([("ghcr.io".to_owned(), login)]),
            ..BuildRequest::default()
        }
    }

    fn solve(message: &str) -> Status {
        Status::unknown(message)
    }

    fn step(name: &str, reason: &str, log: &[&str]) -> BuildError {
        let log = log.iter().map(|line| (*line).to_owned()).collect();
        let step = FailedStep { name: name.to_owned(), reason: reason.to_owned(), log };
        of_build(&solve("failed to solve: x"), Some(step), &request(), DOCKERFILE)
    }

    #[test]
    fn an_address_that_is_signed_is_in_no_error() {
        let message = "error writing layer blob: Put \"https://a.example.com/b?se=1&sig=hunter2\": EOF";
        let error = of_build(&solve(message), None, &request(), DOCKERFILE);
        let expected = "could not build the image: error writing layer blob: Put \"https://a.example.com/b?\": EOF";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_buildkit_says_without_a_step_is_understood_in_old_words_and_new_ones() {
        let old = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: ";
        let cases = [
            (
                format!("{old}dockerfile parse error line 2: unknown instruction: RUNN"),
                "Dockerfile:2: unknown instruction: RUNN",
            ),
            (
                "failed to solve: dockerfile parse error on line 12: unknown instruction: RUNN".to_owned(),
                "Dockerfile:12: unknown instruction: RUNN",
            ),
            (format!("{old}the Dockerfile cannot be empty"), "Dockerfile: the Dockerfile cannot be empty"),
            (format!("{old}target stage b could not be found"), "Dockerfile has no stage `b`"),
            ("failed to solve: target stage \"b\" could not be found".to_owned(), "Dockerfile has no stage `b`"),
            (
                "executor failed running [/bin/sh -c npm ci]: exit code: 3".to_owned(),
                "Dockerfile: `RUN /bin/sh -c npm ci` failed: exit code 3",
            ),
            (
                "failed to solve: process \"/bin/sh -c npm ci\" did not complete successfully: exit code: 3".to_owned(),
                "Dockerfile: `RUN /bin/sh -c npm ci` failed: exit code 3",
            ),
            ("failed to solve: what nobody knows".to_owned(), "could not build the image: what nobody knows"),
        ];
        for (message, expected) in cases {
            assert_eq!(of_build(&solve(&message), None, &request(), DOCKERFILE).to_string(), expected);
        }
    }

    #[test]
    fn a_failed_step_has_its_line_and_its_last_lines() {
        let error =
            step("[a 2/2] RUN false", "process \"false\" did not complete successfully: exit code: 1", &["x", "y"]);
        assert_eq!(error.to_string(), "Dockerfile:3: `RUN false` failed: exit code 1");
        assert_eq!(error.log(), ["x", "y"]);
        let copied = "failed to calculate checksum of ref a::b: \"/a\": not found";
        let error = step("[a 1/2] COPY a /a", copied, &[]);
        assert_eq!(error.to_string(), format!("Dockerfile:2: `COPY a /a` failed: {copied}"));
        let error = step("[a 2/2] RUN false", "exit code: 1", &["exec /bin/sh: exec format error"]);
        assert!(matches!(error, BuildError::PlatformUnsupported { line: Some(3), .. }), "{error}");
    }

    #[test]
    fn a_base_image_is_named_with_the_reason_why_there_is_none() {
        let denied = "pull access denied, repository does not exist or may require authorization: server message: \
                      insufficient_scope: authorization failed";
        let error = step("[internal] load metadata for docker.io/acme/base:1", denied, &[]);
        assert_eq!(error.to_string(), format!("the base image docker.io/acme/base:1 is not to be had: {denied}"));
        let error = step("[1/2] FROM ghcr.io/acme/base:1@sha256:1", "unexpected status: 401 Unauthorized", &[]);
        let expected = "ghcr.io does not accept the login of bot: unexpected status: 401 Unauthorized";
        assert_eq!(error.to_string(), expected);
        let silent = "failed to do request: Head \"https://a.b/v2/c\": dial tcp: lookup a.b: no such host";
        let error = step("resolve image config for docker-image://a.b/c:1", silent, &[]);
        assert_eq!(error.to_string(), format!("a.b cannot be reached from the Docker Engine: {silent}"));
    }

    #[test]
    fn a_push_that_is_refused_says_whether_the_login_or_the_permission_is_missing() {
        let image: ImageName = "ghcr.io/acme/shop".parse().unwrap();
        let login = RegistryCredentials { username: "bot".to_owned(), password: "hunter2".into() };
        let push = |words: &str, login: Option<&RegistryCredentials>| of_push(words.to_owned(), &image, login);
        let login = Some(&login);
        let cases = [
            (
                push("no basic auth credentials", None),
                "wants a login for image ghcr.io/acme/shop, and none was given: no basic auth credentials",
            ),
            (
                push("denied: requested access to the resource is denied", None),
                "wants a login for image ghcr.io/acme/shop, and none was given: denied: requested access to the resource is denied",
            ),
            (
                push("unauthorized: authentication required", login),
                "refused the login of bot for image ghcr.io/acme/shop: unauthorized: authentication required",
            ),
            (
                push("denied: permission_denied: write_package", login),
                "does not let bot push image ghcr.io/acme/shop: denied: permission_denied: write_package",
            ),
            (
                push("dial tcp: lookup ghcr.io: no such host", login),
                "of image ghcr.io/acme/shop cannot be reached: dial tcp: lookup ghcr.io: no such host",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(error.to_string(), format!("registry ghcr.io {expected}"));
        }
        let other = push("blob upload unknown", login).to_string();
        assert_eq!(other, "could not push image ghcr.io/acme/shop at registry ghcr.io: blob upload unknown");
    }
}
