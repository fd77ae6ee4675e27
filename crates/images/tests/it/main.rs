//! Images, with the Docker Engine of this machine and registries of this process. Nothing of a test is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod builder;
