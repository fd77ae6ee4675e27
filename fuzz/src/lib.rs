//! What the fuzz targets share.

use windlass_core::config::ConfigError;

/// A file is refused for something, and that is somewhere in it.
///
/// # Panics
///
/// When it is not.
pub fn expect_places(error: &ConfigError, text: &str) {
    assert!(!error.diagnostics.is_empty(), "refused without a reason");
    assert!(!error.to_string().is_empty());
    for mistake in &error.diagnostics {
        let line = text.split('\n').nth(mistake.line - 1).unwrap_or_else(|| panic!("no such line: {error}"));
        let columns = 1..=line.chars().count() + 1;
        assert!(columns.contains(&mistake.column), "no such column: {error}");
        assert!(!mistake.message.is_empty());
    }
}
