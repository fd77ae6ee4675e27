//! The whole system from outside.

mod architecture;
mod cli;
mod crash;
mod demo;
mod deploy;
mod docs;
mod operate;
mod registry;
mod world;
