//! The addresses of all apps, of which no two may be the same to the gateway.

use std::collections::BTreeMap;

use url::Url;

use super::AppUrl;
use crate::config::reader::{ConfigItem, Place, web_urls};
use crate::gateway::Route;
use crate::names::AppName;

/// Of an address that is not only a string.
pub(super) const URL: &[&str] = &["url", "strip-prefix"];

/// Whose each route is.
#[derive(Debug, Default)]
pub(super) struct Routes(BTreeMap<Route, (AppName, Place)>);

impl Routes {
    /// Reads an app's address, or the list of them.
    pub(super) fn read(&mut self, app: &AppName, item: ConfigItem<'_>) -> Vec<AppUrl> {
        if item.is_string() {
            return self.read_one(app, item).into_iter().collect();
        }
        if item.is_table() {
            return self.read_one(app, item).into_iter().collect();
        }
        if !item.is_list() {
            item.mistyped(
                "an address or a list of them",
                Some("write `url = \"https://shop.example.com\"`".to_owned()),
            );
            return Vec::new();
        }
        item.list(|item| self.read_one(app, item)).unwrap_or_default()
    }

    fn read_one(&mut self, app: &AppName, item: ConfigItem<'_>) -> Option<AppUrl> {
        let (item, strip_prefix) = if item.is_table() { read_options(item)? } else { (item, false) };
        let url = web_urls(item)?;
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let path = format!("/{}", url.path().trim_matches('/'));
        let https = url.scheme() == "https";
        let route = Route { https, strip_prefix, ..Route::new(host, path) };
        self.claim(app, item, &route)?;
        Some(AppUrl { url: item.string()?.to_owned(), https, route })
    }

    /// Reads names that redirect to the app's first address.
    pub(super) fn read_redirects(&mut self, app: &AppName, urls: &[AppUrl], item: ConfigItem<'_>) -> Vec<Route> {
        let Some(to) = urls.first().filter(|first| first.route.is_exact()).and_then(|first| origin(&first.url)) else {
            item.contradict(
                "there is no address to redirect to",
                "let the first of the app's `url` be one of a single host: that is where these names lead",
            );
            return Vec::new();
        };
        item.list(|item| self.read_redirect(app, &to, item)).unwrap_or_default()
    }

    fn read_redirect(&mut self, app: &AppName, to: &str, item: ConfigItem<'_>) -> Option<Route> {
        let name = item.text()?;
        let Some(host) = host_name(name) else {
            item.refuse(
                format!("`{name}` is not a host name"),
                "write the name only, such as www.shop.example.com: scheme and path are those of the request",
            );
            return None;
        };
        // Whoever asks the other name by https needs a certificate for it before it can be sent on.
        let https = to.starts_with("https:");
        let route = Route { redirect: Some(to.to_owned()), https, ..Route::new(host, "/") };
        self.claim(app, item, &route)?;
        Some(route)
    }

    /// Each place of the gateway once; what two apps share by what stands at the top is neither's.
    fn claim(&mut self, app: &AppName, item: ConfigItem<'_>, route: &Route) -> Option<()> {
        let place = Route::new(route.host.clone(), route.path.clone());
        if let Some((other, there)) = self.0.insert(place, (app.clone(), item.node.place.clone())) {
            let place = format!("{}{}", route.host, if route.path == "/" { "" } else { &route.path });
            if there == item.node.place {
                item.contradict(
                    "all apps would have this address, since what stands at the top is shared",
                    format!("move it into one of them, such as `[apps.{other}]`"),
                );
                return None;
            }
            let message = match &other == app {
                true => format!("{place} is an address of this app already"),
                false => format!("{place} is an address of the app `{other}` already"),
            };
            item.contradict(
                message,
                "write each address once: the gateway tells them apart by host and path, not by scheme or port",
            );
        }
        Some(())
    }
}

/// An address with what else is to be said of it.
fn read_options(item: ConfigItem<'_>) -> Option<(ConfigItem<'_>, bool)> {
    let options = item.table(&[URL])?;
    let url = options.require("url", "write { url = \"https://shop.example.com/api\", strip-prefix = true }");
    let strip_prefix = options.get("strip-prefix").and_then(|item| item.boolean()).unwrap_or_default();
    Some((url?, strip_prefix))
}

/// As it stands in an address: lower-cased, and what is not ASCII in its own spelling for that.
fn host_name(text: &str) -> Option<String> {
    if text.contains(|c: char| c.is_whitespace() || "/\\:@?#*".contains(c)) {
        return None;
    }
    let url = Url::parse(&format!("https://{text}")).ok()?;
    Some(url.host_str()?.trim_end_matches('.').to_ascii_lowercase())
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}
