//! The whole system from outside.

mod architecture;
mod cli;
mod docs;
