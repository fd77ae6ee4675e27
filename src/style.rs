//! How what is printed looks, where colours are shown.

use anstyle::{AnsiColor, Style};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const BOLD_RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const BOLD_YELLOW: Style = AnsiColor::Yellow.on_default().bold();
