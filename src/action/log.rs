//! The step's log as the runner reads it. A line that begins with `::` (or holds `##[`) is a command to the runner, so
//! everything that is not one of ours stands between stop-commands: what an app, a build or a server writes stays text.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use windlass_core::secrets::Masker;

use crate::error::CommandError;
use crate::output;

/// What is shorter is left alone, as by [`Masker`].
const SHORTEST: usize = 4;

/// Writes to the log. Shared: what reports progress runs beside what asks for it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With which word the runner begins to listen again.
    stopped: Option<String>,
    grouped: bool,
    masker: Masker,
}

impl Log {
    /// Hides a secret from here on: the runner from its log, and we from all that we write.
    pub(crate) fn hide(&self, secret: &SecretString) {
        let mut state = self.state();
        let whole = secret.expose_secret();
        for line in std::iter::once(whole).chain(whole.lines().filter(|_| whole.contains('\n'))) {
            // To mask every `1` or `{` would hide the log and the outputs, and not the secret.
            if line.trim().chars().count() >= SHORTEST {
                state.command(&format!("::add-mask::{}", data(line)));
            }
        }
        state.masker = state.masker.and(&Masker::new([secret]));
    }

    /// Text, whoever wrote it.
    pub(crate) fn line(&self, text: &str) {
        self.state().line(text);
    }

    /// Begins a group that people can fold; the one before ends.
    pub(crate) fn group(&self, title: &str) {
        let mut state = self.state();
        state.end_group();
        let title = state.masker.mask(title).into_owned();
        state.command(&format!("::group::{}", data(&title)));
        state.grouped = true;
    }

    /// What follows stands by itself again.
    pub(crate) fn end_group(&self) {
        self.state().end_group();
    }

    /// An error, as people read it in the log and as an annotation of the run; with file and line where it has them.
    pub(crate) fn error(&self, error: &CommandError) {
        let mut state = self.state();
        state.end_group();
        let hint = error.advice().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        for line in error.lines() {
            state.line(line);
        }
        let whole = state.masker.mask(&format!("{}{hint}", error.summary())).into_owned();
        if error.places().is_empty() {
            state.command(&format!("::error title=Windlass::{}", data(&whole)));
            return;
        }
        state.line(&whole);
        for place in error.places() {
            let message = state.masker.mask(&place.message).into_owned();
            let properties = format!("file={},line={},title=Windlass", property(&place.file), place.line);
            state.command(&format!("::error {properties}::{}", data(&message)));
        }
    }

    /// Something that people should know, and that stops nothing: as text, and as an annotation of the run.
    pub(crate) fn warning(&self, text: &str) {
        let mut state = self.state();
        state.line(text);
        let text = state.masker.mask(text).into_owned();
        state.command(&format!("::warning title=Windlass::{}", data(&text)));
    }

    /// The same text without any secret.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.state().masker.mask(text).into_owned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However the step ends, the runner listens again: what follows in the job's log is not ours to silence.
impl Drop for State {
    fn drop(&mut self) {
        self.end_group();
        self.listen();
    }
}

impl State {
    fn line(&mut self, text: &str) {
        if self.stopped.is_none() {
            // A word of its own each time: who reads along cannot use it.
            let token = format!("windlass_{:032x}", rand::random::<u128>());
            write(&format!("::stop-commands::{token}"));
            self.stopped = Some(token);
        }
        write(&self.masker.mask(text));
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.grouped) {
            self.command("::endgroup::");
        }
    }

    fn command(&mut self, command: &str) {
        self.listen();
        write(command);
    }

    /// The runner takes commands again.
    fn listen(&mut self) {
        if let Some(token) = self.stopped.take() {
            write(&format!("::{token}::"));
        }
    }
}

/// Nobody is left to read it if that fails, and the work goes on.
fn write(line: &str) {
    let _ = output::raw(format!("{line}\n").as_bytes());
}

/// A command's text: one line to the runner.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_carries_cannot_end_it() {
        assert_eq!(data("50%\r\n::error::x"), "50%25%0D%0A::error::x");
        assert_eq!(property("a,b:c%"), "a%2Cb%3Ac%25");
    }
}
