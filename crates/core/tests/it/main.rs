//! Both configuration files from outside: what they mean, what is said about mistakes, and that nothing breaks the reader.

#![expect(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

mod bounds;
mod invalid_files;
mod limits;
mod project_file;
mod robustness;
mod sandbox;
mod server_file;
