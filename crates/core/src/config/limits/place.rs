//! Where in `windlass.toml` stands what is not allowed.

use super::{NOT_ALLOWED, Refusal};
use crate::config::diagnostic::MOST;
use crate::config::reader::{self, Node, Value};
use crate::names::{RoleName, StageName};

/// The refusals with file, line and column, as other mistakes are told: `windlass.toml:3:9: app …`. The first fifty, and
/// how many more there are.
#[must_use]
pub fn located(file_name: &str, text: &str, stage: &StageName, refusals: &[Refusal]) -> Vec<String> {
    let shown = refusals.iter().take(MOST);
    let offsets = reader::read(file_name, text, |_, root| {
        Some(shown.clone().map(|refusal| offset(root, stage, refusal)).collect::<Vec<_>>())
    });
    let offsets = offsets.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
    let mut told: Vec<String> = shown
        .zip(offsets)
        .map(|(refusal, offset)| match offset.and_then(|offset| text.get(..offset)) {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!("{file_name}:{line}:{column}: {refusal}")
            }
            // What nobody wrote is a default.
            None => format!("{file_name}: {refusal}"),
        })
        .collect();
    match refusals.len() - told.len() {
        0 => {}
        more => told.push(format!("{file_name}: and {more} more")),
    }
    told
}

/// The stage's own word covers the app's, and that what all of them share.
fn offset(root: &Node, stage: &StageName, refusal: &Refusal) -> Option<usize> {
    let of_stage = below(root, &["stages", stage.as_str()]);
    let bases = of_stage.into_iter().chain([root]);
    let mut found = bases.flat_map(|base| {
        let of_app = below(base, &["apps", refusal.app.as_str()]);
        of_app.into_iter().chain([base]).flat_map(|app| {
            let role = refusal.role.as_ref().map_or("", RoleName::as_str);
            below(app, &["roles", role]).into_iter().chain([app])
        })
    });
    let path: Vec<&str> = refusal.key.split('.').collect();
    let node = found.find_map(|base| below(base, &path))?;
    let Value::List(items) = &node.value else { return Some(node.shown_at().offset) };
    // Of several, the one that the sentence ends with.
    let named = refusal.message.strip_suffix(NOT_ALLOWED).and_then(|message| message.rsplit(' ').next());
    let is_it =
        |item: &&Node| matches!((&item.value, named), (Value::String(text), Some(named)) if text.contains(named));
    Some(items.iter().find(is_it).unwrap_or(node).place.offset)
}

fn below<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| match &node.value {
        Value::Table(fields) => fields.get(*key),
        _ => None,
    })
}
