//! Where secrets come from.

use super::SecretSource;
use crate::config::reader::{ConfigItem, is_identifier};

pub(super) const SECRET: &[&str] = &["file", "env", "command"];

const HOW: &str = "write { file = \"/run/secrets/NAME\" }, { env = \"NAME\" } or { command = [\"…\"] }";

/// Exactly one source. What is written wrongly is never repeated: it may be the secret.
pub(super) fn read_secret(item: ConfigItem<'_>) -> Option<SecretSource> {
    if item.is_string() {
        item.refuse(
            "a secret is never written into this file: whoever reads, copies or backs it up would have it",
            format!("say where it comes from instead: {HOW}"),
        );
        return None;
    }
    let secret = item.table(&[SECRET])?;
    let sources = secret.present(SECRET);
    let [(source, value)] = sources[..] else {
        let message =
            if sources.is_empty() { "the secret has no source" } else { "the secret has more than one source" };
        secret.contradict(message, HOW);
        return None;
    };
    match source {
        "file" => value.text().map(|path| SecretSource::File(path.into())),
        "command" => value.command().map(SecretSource::Command),
        _ => {
            let name = value.text()?;
            if !is_identifier(name) {
                value.refuse(
                    "this is not the name of an environment variable",
                    "write the name only, such as GITHUB_TOKEN; its value comes from the service's environment",
                );
            }
            Some(SecretSource::Env(name.to_owned()))
        }
    }
}
