//! What the demo plays with: a GitHub of its own and an app to deploy. The tests play with both too, and with more, by
//! `windlass-testing`. A release of Windlass is built without it.
//!
//! Nothing in here prints, and what is asked of a stand-in that makes no sense (a status for a commit that is not
//! there) panics: it is a mistake of whoever asks, not an answer of the system that is shown.

// A pull request has more members than `json!` takes by default.
#![recursion_limit = "256"]

mod address;
mod authority;
pub mod github;
pub mod images;
pub mod sample_app;

pub use address::free_address;
pub use authority::{Authority, Certified};
pub use github::FakeGitHub;
