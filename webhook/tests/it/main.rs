//! The service from outside.

mod github;
