//! The whole system from outside.

mod architecture;
mod cli;
mod crash;
mod deploy;
mod docs;
mod registry;
mod world;
