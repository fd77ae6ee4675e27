//! `HEALTHCHECK`: whether it asks the app for a path over HTTP, as most do, so that the gateway can ask for the same.

use super::Health;
use super::instructions::words;
use super::variables::Variables;

/// A health check, and the port that it asks.
pub(super) struct Checked {
    pub(super) health: Health,
    pub(super) port: Option<u16>,
}

/// What follows `HEALTHCHECK`. `None`: there is none. It becomes a path only where the path says all of it: what else it
/// does, or asks of another port, only the container can do.
pub(super) fn read(rest: &str, port: Option<u16>, variables: &Variables) -> Option<Checked> {
    let command = without_options(rest);
    let (word, command) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    if word.eq_ignore_ascii_case("none") {
        return None;
    }
    // Windlass sets PORT to where the app listens.
    let variables = port.map_or_else(|| variables.clone(), |port| variables.with("PORT", &port.to_string()));
    let asked = asked(&script(command), &variables).filter(|asked| port.is_none_or(|port| port == asked.port));
    Some(match asked {
        Some(Asked { port, path }) => Checked { health: Health::Path(path), port: Some(port) },
        None => Checked { health: Health::Docker, port: None },
    })
}

/// `--interval=30s` and its like come first.
fn without_options(rest: &str) -> &str {
    let mut rest = rest.trim();
    while rest.starts_with("--") {
        rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}

/// The command's words, from either of its forms.
fn script(command: &str) -> Vec<String> {
    let listed: Option<Vec<String>> = serde_json::from_str(command.trim()).ok();
    match listed.as_deref() {
        Some([shell, flag, script]) if shell.ends_with("sh") && flag == "-c" => words(script),
        Some(list) => list.to_vec(),
        None => words(command),
    }
}

struct Asked {
    port: u16,
    path: String,
}

/// What `curl` or `wget` asks, where that is all it does and a status other than 2xx makes it fail.
fn asked(words: &[String], variables: &Variables) -> Option<Asked> {
    let (program, words) = words.split_first()?;
    let curl = match program.rsplit('/').next()? {
        "curl" => true,
        "wget" => false,
        _ => return None,
    };
    let mut fails = !curl;
    let mut asked = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "||" => {
                let rest: Vec<&str> = words.by_ref().collect();
                matches!(rest[..], ["exit", _] | ["false"]).then_some(())?;
            }
            "-o" | "-O" | "-qO" | "-m" | "-t" | "-T" | "--output" | "--max-time" | "--connect-timeout" | "--retry"
            | ">" | "1>" | "2>" => {
                words.next()?;
            }
            "--fail" | "--fail-with-body" => fails = true,
            _ if word.starts_with("--") => harmless(word).then_some(())?,
            _ if word.starts_with(">/") || word.starts_with("1>") || word.starts_with("2>") => {}
            _ if word.starts_with('-') => {
                (word.chars().skip(1).all(|c| "fsSqnv".contains(c)) || word == "-qO-" || word == "-O-").then_some(())?;
                fails |= word.contains('f');
            }
            _ if asked.is_none() => asked = Some(url(word, variables)?),
            _ => return None,
        }
    }
    asked.filter(|_| fails)
}

/// Options with which the same is asked.
fn harmless(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    let alone = ["--silent", "--show-error", "--quiet", "--no-verbose", "--spider"].contains(&option);
    let valued = ["--tries", "--timeout", "--max-time", "--connect-timeout", "--output", "--output-document"];
    alone || (option.contains('=') && valued.contains(&name))
}

/// An address of the container itself, over plain HTTP.
fn url(text: &str, variables: &Variables) -> Option<Asked> {
    let text = variables.expand(text);
    let address = text.strip_prefix("http://").unwrap_or(&text);
    let end = address.find(['/', '?']).unwrap_or(address.len());
    let (host, path) = address.split_at(end);
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (host, 80),
    };
    let own = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"].contains(&host);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let plain =
        !path.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | '$' | '`' | ';' | '|' | '&'));
    (own && plain).then_some(Asked { port, path })
}
