//! The engine against a real Docker daemon. Every test has an installation of its own and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod boot;
mod execute;
mod gateway;
mod health;
mod images;
mod isolation;
mod lab;
mod logs;
mod mounts;
mod networks;
mod one_off;
mod outage;
mod registry;
mod revive;
mod sandbox;
mod stage;
mod stop;
mod strategies;
mod twins;
mod unhealthy;
mod watch;
