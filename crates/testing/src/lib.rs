//! A GitHub and an app to test against, with faults on demand: for tests and `windlass demo` only.
//!
//! Nothing in here prints, and what is asked of a stand-in that makes no sense (a status for a commit that is not
//! there) panics: it is a mistake of the test, not an answer of the system under test.

pub mod images;
pub mod sample_app;
