//! The addresses of all apps, of which no two may be the same to the gateway.

use std::collections::BTreeMap;

use super::AppUrl;
use crate::config::reader::{Item, Place, web_url};
use crate::gateway::Route;
use crate::names::AppName;

/// Whose each route is.
#[derive(Debug, Default)]
pub(super) struct Routes(BTreeMap<Route, (AppName, Place)>);

impl Routes {
    /// Reads an app's address, or the list of them.
    pub(super) fn read(&mut self, app: &AppName, item: Item<'_>) -> Vec<AppUrl> {
        if item.is_string() {
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

    fn read_one(&mut self, app: &AppName, item: Item<'_>) -> Option<AppUrl> {
        let url = web_url(item)?;
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let path = format!("/{}", url.path().trim_matches('/'));
        let route = Route { host, path };
        if let Some((other, there)) = self.0.insert(route.clone(), (app.clone(), item.node.place.clone())) {
            let place = format!("{}{}", route.host, if route.path == "/" { "" } else { &route.path });
            if there == item.node.place {
                item.contradict(
                    "all apps would have this address, since what stands at the top is shared",
                    format!("move `url` into one of them, such as `[apps.{other}]`"),
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
        Some(AppUrl { url: item.string()?.to_owned(), https: url.scheme() == "https", route })
    }
}
