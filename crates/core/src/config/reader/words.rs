//! Values that both files have.

use url::{Host, Url};

use super::ConfigItem;
use super::table::Table;
use crate::config::HostSelector;

/// A path in its shortest spelling, if it is absolute and never climbs.
pub(in crate::config) fn absolute_path(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let sound = segments.iter().all(|part| *part != ".." && !part.contains(char::is_control));
    sound.then(|| format!("/{}", segments.join("/")))
}

/// `schema = 1`, the only one there is.
pub(in crate::config) fn expect_schema(file: &Table<'_>) {
    let Some(item) =
        file.require("schema", "write `schema = 1` at the top: it says which version of this file's keys you mean")
    else {
        return;
    };
    if let Some(schema) = item.integer::<i64>(i64::MIN..=i64::MAX)
        && schema != 1
    {
        item.refuse(
            format!("this Windlass does not know schema {schema}"),
            "write `schema = 1`, or use a newer Windlass",
        );
    }
}

/// `a` is a host, `label:web` all with that label.
pub(in crate::config) fn host_selector(item: ConfigItem<'_>) -> Option<HostSelector> {
    match item.string()?.strip_prefix("label:") {
        Some(name) => label(name, item).map(HostSelector::Label),
        None => item.parsed().map(HostSelector::Name),
    }
}

/// A label of a host.
pub(in crate::config) fn label(name: &str, item: ConfigItem<'_>) -> Option<String> {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Some(name.to_owned());
    }
    item.refuse(format!("`{name}` is not a label"), "a label is letters, digits, `-`, `_` and `.`, such as web");
    None
}

/// Whether an environment variable may have this name.
pub(in crate::config) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The kernel's bounds of a process, as Docker names them.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// One bound of a process by its name; -1 is none, which no process can have of open files.
pub(in crate::config) fn ulimit(name: &str, item: ConfigItem<'_>) -> Option<i64> {
    if !ULIMITS.contains(&name) {
        let hint = super::table::suggest(name, ULIMITS.into_iter(), "it is one of");
        item.refuse_key(format!("there is no bound `{name}`"), Some(hint));
        return None;
    }
    item.integer(if name == "nofile" { 1..=1 << 30 } else { -1..=1 << 40 })
}

/// What is wrong with the name of a variable or a secret of an app, and the way out.
pub(in crate::config) fn check_variable(name: &str) -> Result<(), (String, String)> {
    let sound = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if !sound {
        let hint = "a name is letters, digits, `_`, `.` and `-`, and starts with a letter or `_`";
        return Err((format!("`{name}` is not a name for a variable"), hint.to_owned()));
    }
    if name == "PORT" {
        let hint = "Windlass sets PORT to the role's `port`; leave it out here";
        return Err(("the name `PORT` is reserved".to_owned(), hint.to_owned()));
    }
    if name.starts_with("WINDLASS_") {
        let hint = "names that start with WINDLASS_ are set by Windlass; choose another";
        return Err((format!("the name `{name}` is reserved"), hint.to_owned()));
    }
    Ok(())
}

/// An address on the web: scheme, host, maybe a port and a path. Never shown in a mistake, as it may hold a password.
pub(in crate::config) fn web_url(item: ConfigItem<'_>) -> Option<Url> {
    let url = address(item)?;
    if url.host_str().is_some_and(|host| host.contains('*')) {
        item.refuse("the address has a `*` for a host", "name the host: this is one place");
        return None;
    }
    Some(url)
}

/// The same, or the addresses of many hosts: `*.` is any one name below the rest, `*` is any host.
pub(in crate::config) fn web_urls(item: ConfigItem<'_>) -> Option<Url> {
    let url = address(item)?;
    let host = url.host_str()?;
    if host != "*" && host.strip_prefix("*.").unwrap_or(host).contains('*') {
        item.refuse(
            "the address has a `*` within its host",
            "`*` stands for one whole name at the beginning, https://*.example.com, or for every host, https://*",
        );
        return None;
    }
    Some(url)
}

fn address(item: ConfigItem<'_>) -> Option<Url> {
    let text = item.string()?;
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("https://") && !lower.starts_with("http://") {
        item.refuse("the address has neither https:// nor http://", "write it whole, such as https://shop.example.com");
        return None;
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        item.refuse("the address contains a blank or a backslash", "leave it out, or write it percent-encoded");
        return None;
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            item.refuse(format!("this is not an address: {error}"), "write it whole, such as https://shop.example.com");
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        item.refuse("the address has a user or a password", "leave out what stands before the `@`");
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        item.refuse("the address has a query or a fragment", "leave out everything from the `?` or `#` on");
        return None;
    }
    if url.host_str().is_none() {
        item.refuse("the address has no host", "write it whole, such as https://shop.example.com");
        return None;
    }
    Some(url)
}

/// Whether only this machine can be meant.
pub(in crate::config) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
