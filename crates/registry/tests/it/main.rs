//! What is asked of registries, of a real one and of ones in this process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod tokens;
