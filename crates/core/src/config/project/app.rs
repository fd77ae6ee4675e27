//! One app, with what it shares already under it.

use std::collections::{BTreeMap, BTreeSet};

use super::errors::read_errors;
use super::role::{DEFAULT_PORT, ROLE, ROLE_ONLY, read_role};
use super::route::Routes;
use super::{AppConfig, AppUrl, Boot, BootLimit, Build, Migrate, RoleConfig};
use crate::config::reader::{ConfigItem, Misplaced, Table, check_variable};
use crate::exec;
use crate::names::{AppName, RoleName};
use crate::platform;
use crate::quantity::Duration;

pub(super) const APP: &[&str] =
    &["image", "build", "url", "redirect", "env", "secrets", "migrate", "boot", "watch", "hsts", "errors", "roles"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) const BUILD: &[&str] = &["context", "dockerfile", "target", "args", "secrets", "platforms"];
pub(super) const MIGRATE: &[&str] = &["command", "timeout"];
pub(super) const BOOT: &[&str] = &["limit", "wait"];

pub(super) fn read_app(name: &AppName, item: ConfigItem<'_>, routes: &mut Routes) -> AppConfig {
    let Some(app) = item.table(&[APP, ROLE]) else { return empty() };
    let url = app.get("url").map(|url| routes.read(name, url)).unwrap_or_default();
    let redirect = app.get("redirect").map(|names| routes.read_redirects(name, &url, names)).unwrap_or_default();
    let secrets = app.get("secrets").map(secret_names).unwrap_or_default();
    let roles = read_roles(&app, &secrets);
    if let Some(url) = app.get("url")
        && let Some((role, RoleConfig { port: None, .. })) = roles.iter().find(|(_, role)| role.primary)
    {
        url.contradict(
            format!("the address leads to the primary role, `{role}`, which has no port"),
            format!(
                "add `port = {DEFAULT_PORT}` to `[roles.{role}]`, or set `primary = true` in the role that has one"
            ),
        );
    }
    AppConfig {
        image: app.get("image").and_then(|image| image.parsed()),
        build: app.get("build").map_or_else(default_build, read_build),
        redirect,
        env: app.get("env").map(|env| variables(env, &secrets)).unwrap_or_default(),
        secrets,
        migrate: app.get("migrate").and_then(read_migrate),
        boot: app.get("boot").and_then(|boot| boot.table(&[BOOT])).map_or_else(default_boot, |boot| read_boot(&boot)),
        watch: app.duration_or("watch", Duration::from_secs(10), DAY),
        errors: app.get("errors").map(read_errors).unwrap_or_default(),
        hsts: app.get("hsts").and_then(|hsts| read_hsts(hsts, &url)),
        url,
        roles,
    }
}

/// A browser that was told so does not come back in the clear, whatever becomes of the certificate.
fn read_hsts(item: ConfigItem<'_>, urls: &[AppUrl]) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
    if let Some(plain) = urls.iter().find(|url| !url.https) {
        item.contradict(
            format!("{} is an address in the clear, and browsers would not use it any more", plain.url),
            "make it https, or leave `hsts` out",
        );
    }
    item.duration("365d", LONGEST)
}

fn empty() -> AppConfig {
    AppConfig {
        image: None,
        build: default_build(),
        url: Vec::new(),
        redirect: Vec::new(),
        env: BTreeMap::new(),
        secrets: Vec::new(),
        migrate: None,
        boot: default_boot(),
        watch: Duration::from_secs(10),
        hsts: None,
        errors: BTreeMap::new(),
        roles: BTreeMap::new(),
    }
}

fn read_roles(app: &Table<'_>, secrets: &[String]) -> BTreeMap<RoleName, RoleConfig> {
    let Some(roles) = app.get("roles") else {
        let default_port = app.get("url").map(|_| DEFAULT_PORT);
        let web = RoleConfig { primary: true, ..read_role(app, BTreeMap::new(), default_port) };
        return BTreeMap::from([(RoleName::unnamed(), web)]);
    };
    for (key, item) in app.present(ROLE) {
        item.refuse_key(
            format!("`{key}` belongs to a role, and this app has roles"),
            Some(format!(
                "move it into one of them, such as `[roles.web]`; `{key}` may stand here only without `[roles.*]`"
            )),
        );
    }
    let of_the_app = Misplaced { keys: APP, owner: "the app, not to one of its roles" };
    let tables: Vec<_> = roles
        .named::<RoleName>()
        .into_iter()
        .filter_map(|(name, role)| role.table_of(&[ROLE_ONLY, ROLE], of_the_app).map(|table| (name, table)))
        .collect();
    if roles.is_empty_table() {
        roles.contradict("the app has no role", "add `[roles.web]`, or leave `roles` out: a single role needs no name");
    }
    let primary = choose_primary(&roles, &tables);
    tables
        .into_iter()
        .map(|(name, table)| {
            let env = table.get("env").map(|env| variables(env, secrets)).unwrap_or_default();
            let role = RoleConfig { primary: primary.as_ref() == Some(&name), ..read_role(&table, env, None) };
            (name, role)
        })
        .collect()
}

fn choose_primary(roles: &ConfigItem<'_>, tables: &[(RoleName, Table<'_>)]) -> Option<RoleName> {
    let flags = tables.iter().filter_map(|(name, role)| role.get("primary").map(|flag| (name, flag)));
    let mut flagged = flags.filter(|(_, flag)| flag.boolean() == Some(true));
    if let Some((first, _)) = flagged.next() {
        for (_, flag) in flagged {
            flag.contradict(
                format!("the role `{first}` is primary already"),
                "keep `primary = true` in one role: the one that the app's addresses lead to",
            );
        }
        return Some(first.clone());
    }
    let web = RoleName::unnamed();
    match tables {
        [(only, _)] => Some(only.clone()),
        _ if tables.iter().any(|(name, _)| *name == web) => Some(web),
        [] => None,
        _ => {
            let names: Vec<_> = tables.iter().map(|(name, _)| format!("`{name}`")).collect();
            roles.contradict(
                format!("none of the roles {} is primary", names.join(", ")),
                "set `primary = true` in the one that stands for the app (its addresses lead there), or call it `web`",
            );
            None
        }
    }
}

/// Variables are strings: a number's spelling would be anybody's guess.
fn variables(env: ConfigItem<'_>, secrets: &[String]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let secrets: BTreeSet<&str> = secrets.iter().map(String::as_str).collect();
    for (name, value) in env.entries() {
        if let Err((message, hint)) = check_variable(name) {
            value.refuse_key(message, Some(hint));
        } else if secrets.contains(name) {
            let hint = "keep one of the two: `env` if everybody may read it, `secrets` if not";
            value.contradict(format!("`{name}` is among the app's secrets too"), hint);
        }
        if let Some(text) = value.string() {
            value.fits(exec::variable(name, text));
            variables.insert(name.to_owned(), text.to_owned());
        }
    }
    env.fits_together(variables.iter().map(|(name, value)| exec::variable(name, value)));
    variables
}

fn string_value(value: ConfigItem<'_>) -> Option<String> {
    let text = value.string()?;
    if text.contains('\0') {
        value.refuse("the string contains a NUL character", "take it out: it would end the value there");
    }
    Some(text.to_owned())
}

fn secret_names(secrets: ConfigItem<'_>) -> Vec<String> {
    if !secrets.is_list() {
        let hint = "list the names only, [\"DATABASE_URL\"]; their values are on the server, in windlass-server.toml";
        secrets.mistyped("a list of names", Some(hint.to_owned()));
        return Vec::new();
    }
    let read = |item: ConfigItem<'_>| {
        let name = item.string()?;
        check_variable(name).map_err(|(message, hint)| item.refuse(message, hint)).ok()?;
        Some(name.to_owned())
    };
    secrets.list(read).unwrap_or_default()
}

fn default_build() -> Build {
    Build {
        context: ".".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        args: BTreeMap::new(),
        secrets: Vec::new(),
        platforms: Vec::new(),
    }
}

fn read_build(item: ConfigItem<'_>) -> Build {
    let default = default_build();
    let Some(build) = item.table(&[BUILD]) else { return default };
    let text = |key| build.get(key).and_then(|item| item.text()).map(str::to_owned);
    let args = build.get("args").map(|args| args.entries()).unwrap_or_default();
    Build {
        context: text("context").unwrap_or(default.context),
        dockerfile: text("dockerfile").unwrap_or(default.dockerfile),
        target: build.get("target").and_then(|item| item.string()).filter(|name| !name.is_empty()).map(str::to_owned),
        args: args.into_iter().filter_map(build_argument).collect(),
        secrets: build.texts("secrets"),
        platforms: build.get("platforms").and_then(|list| list.list(platform)).unwrap_or_default(),
    }
}

fn build_argument((name, item): (&str, ConfigItem<'_>)) -> Option<(String, String)> {
    if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
        let hint = "a Dockerfile's `ARG` has a name without blanks and `=`, such as RUBY_VERSION";
        item.refuse_key(format!("`{}` is not a name for a build argument", name.escape_debug()), Some(hint.to_owned()));
    }
    Some((name.to_owned(), string_value(item)?))
}

/// `os/architecture`, maybe with a variant.
fn platform(item: ConfigItem<'_>) -> Option<String> {
    let text = item.string()?;
    match platform::check(text) {
        Ok(()) => Some(text.to_owned()),
        Err(error) => {
            item.refuse(error.to_string(), error.hint());
            None
        }
    }
}

fn read_migrate(item: ConfigItem<'_>) -> Option<Migrate> {
    let migrate = item.table(&[MIGRATE])?;
    let timeout = migrate.duration_or("timeout", Duration::from_secs(600), Duration(DAY.0.saturating_mul(7)));
    let hint = "write what migrates, such as `command = [\"rake\", \"db:migrate\"]`";
    let command = migrate.require("command", hint)?.command()?;
    Some(Migrate { command, timeout })
}

fn default_boot() -> Boot {
    Boot { limit: BootLimit::Percent(100), wait: Duration::from_secs(0) }
}

fn read_boot(boot: &Table<'_>) -> Boot {
    let default = default_boot();
    Boot {
        limit: boot.get("limit").and_then(boot_limit).unwrap_or(default.limit),
        wait: boot.duration_or("wait", default.wait, DAY),
    }
}

fn boot_limit(item: ConfigItem<'_>) -> Option<BootLimit> {
    if !item.is_string() {
        return item.integer(1..=10_000).map(BootLimit::Hosts);
    }
    let text = item.string()?;
    let percent =
        text.strip_suffix('%').and_then(|number| number.parse().ok()).filter(|number| (1..=100).contains(number));
    if percent.is_none() {
        item.refuse(
            format!("`{text}` is not a share of the hosts"),
            "write \"50%\" (1% to 100%), or a number of hosts without quotes",
        );
    }
    percent.map(BootLimit::Percent)
}
