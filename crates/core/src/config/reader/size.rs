//! How much a file may ask to be done: each app is read with what it shares, and all of it once more per stage.

use super::{About, ConfigItem};

/// Tables of one kind: stages, apps, roles.
const MOST_TABLES: usize = 100;

/// Values to be read, in all their combinations. A file with ten apps and ten stages has some thousands.
const MOST_VALUES: usize = 2_000_000;

/// Reports a file that has so many apps and stages that to lay them over one another would never end.
pub(in crate::config) fn is_too_large(root: ConfigItem<'_>) -> bool {
    let tables = |item: ConfigItem<'_>, key: &str| item.field(key).map_or(0, |table| table.fields());
    let stages = tables(root, "stages");
    let in_stages: usize = root.field("stages").map_or(0, |all| all.each(|stage| tables(stage, "apps")));
    let apps = tables(root, "apps") + in_stages;
    let report = |key: &str, message: String, hint: &str| {
        let item = root.field(key).unwrap_or(root);
        item.reader.report(About::Whole, &item.node.shown_at(), message, Some(hint.to_owned()));
    };
    for (key, number) in [("stages", stages), ("apps", tables(root, "apps")), ("roles", tables(root, "roles"))] {
        if number > MOST_TABLES {
            report(key, format!("there are {number} of them"), &format!("a file has at most {MOST_TABLES}"));
            return true;
        }
    }
    let values = root.node.count().saturating_mul(stages + 1).saturating_mul(apps + 1);
    if values > MOST_VALUES && stages + apps > 0 {
        let message = format!("with {stages} stages and {apps} apps, this file has {values} values to read");
        report(
            "stages",
            message,
            &format!("{MOST_VALUES} is the most: let the apps share less, or split the repository"),
        );
        return true;
    }
    false
}
