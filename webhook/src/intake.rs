//! What comes in from GitHub: deliveries, stored before they are answered and worked on behind it; what a stage's branch
//! wants because of them; what was missed; what the projects are called.

pub(crate) mod branches;
pub(crate) mod deliveries;
pub(crate) mod inbox;
pub(crate) mod missed;
pub(crate) mod projects;
pub(crate) mod relevance;
pub(crate) mod signature;
pub(crate) mod spool;
pub(crate) mod wanting;
