//! The engine against a real Docker daemon. Every test has an installation of its own and leaves nothing behind.

mod boot;
mod docker;
mod health;
mod isolation;
mod lab;
mod logs;
mod one_off;
mod stop;
