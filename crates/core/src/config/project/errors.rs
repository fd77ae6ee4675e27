//! An app's own pages for what the gateway has to say in its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::reader::ConfigItem;

/// The statuses with which the gateway answers in an app's place.
pub(in crate::config) const ERRORS: &[&str] = &["400", "413", "502", "503", "504"];
/// Of one page, in bytes.
pub const LARGEST_PAGE: usize = 64 << 10;

/// Where a page of HTML comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPage {
    /// A file of the repository, from the folder of `windlass.toml`. It is read when the release is registered.
    Repository(String),
    /// An absolute path in the image.
    Image(String),
}

impl ErrorPage {
    /// As it is written in the file.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Repository(path) | Self::Image(path) => path,
        }
    }
}

pub(super) fn read_errors(item: ConfigItem<'_>) -> BTreeMap<u16, ErrorPage> {
    let Some(table) = item.table(&[ERRORS]) else { return BTreeMap::new() };
    let page = |(status, item): (&str, ConfigItem<'_>)| Some((status.parse().ok()?, read_page(item)?));
    ERRORS.iter().filter_map(|status| Some((*status, table.get(status)?))).filter_map(page).collect()
}

fn read_page(item: ConfigItem<'_>) -> Option<ErrorPage> {
    let path = item.text()?.to_owned();
    if path.starts_with('/') {
        return Some(ErrorPage::Image(path));
    }
    if path.split('/').any(|part| part == "..") {
        item.refuse(
            format!("`{path}` leads out of the folder of this file"),
            "name a file beside it or below, such as \"public/502.html\"; an absolute path is one in the image",
        );
        return None;
    }
    Some(ErrorPage::Repository(path))
}
