//! The pages of the repository that come with a release.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use windlass_core::config::{AppConfig, ErrorPage, LARGEST_PAGE};

use crate::error::CommandError;

/// Those that `[errors]` names, from the folder of windlass.toml.
pub(crate) fn read(app: &AppConfig, folder: &Path) -> Result<BTreeMap<u16, String>, CommandError> {
    let of_repository = app.errors.iter().filter_map(|(status, page)| match page {
        ErrorPage::Repository(path) => Some((*status, path)),
        ErrorPage::Image(_) => None,
    });
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    of_repository.map(|(status, path)| Ok((status, read_page(status, &folder.join(path), &root)?))).collect()
}

fn read_page(status: u16, path: &Path, root: &Path) -> Result<String, CommandError> {
    let shown = path.display();
    let wrong = |why: String| {
        CommandError::misused(format!("the page {shown} of `errors.{status}` cannot be used: {why}"))
            .coded("config_invalid")
            .hint("name a file of HTML, from the folder of windlass.toml; an absolute path is one in the image")
    };
    let found = path.canonicalize().map_err(|error| wrong(windlass_core::reason::plain(&error.to_string())))?;
    // Everybody gets to read it: a link may lead to what is nobody's business, and what is no file may have no end.
    if !found.starts_with(root) || !found.is_file() {
        return Err(wrong("it is no file below the folder of windlass.toml".to_owned()));
    }
    let mut text = Vec::new();
    let file = File::open(found).map_err(|error| wrong(windlass_core::reason::plain(&error.to_string())))?;
    let read = file.take(LARGEST_PAGE as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| wrong(windlass_core::reason::plain(&error.to_string())))?;
    if text.len() > LARGEST_PAGE {
        return Err(wrong(format!("it is larger than {} KB", LARGEST_PAGE >> 10)));
    }
    String::from_utf8(text).map_err(|_| wrong("it is not UTF-8".to_owned()))
}
