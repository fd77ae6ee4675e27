//! Progress on standard error: lines, and on a terminal a spinner below them for what runs now.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Lines with a spinner below them.
#[derive(Debug)]
pub(crate) struct Progress {
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { spinner: std::io::stderr().is_terminal().then(spinner) }
    }

    /// Something happened.
    pub(crate) fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| super::note(text)),
            None => super::note(text),
        }
    }

    /// Something runs until something else is said to, or [`Progress::idle`].
    pub(crate) fn running(&self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_style(style("{spinner} {wide_msg} {elapsed}"));
            spinner.set_message(text.to_owned());
            spinner.reset_elapsed();
            spinner.enable_steady_tick(Duration::from_millis(120));
        }
    }

    /// Nothing runs.
    pub(crate) fn idle(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.disable_steady_tick();
            spinner.set_style(style(""));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Shows nothing until something runs.
fn spinner() -> ProgressBar {
    ProgressBar::new_spinner().with_style(style(""))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
