//! What people look at rather than read.

pub(crate) mod deployment;
