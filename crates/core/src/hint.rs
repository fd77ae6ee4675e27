//! Advice beside an error.

/// An error that may know the way out. Rendered below the error, as a line `hint: …`.
pub trait Hint {
    /// What the reader can do, as one sentence without a full stop.
    fn hint(&self) -> Option<String>;
}
