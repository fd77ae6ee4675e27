//! The whole system from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a failed test shows what the service logged")]

mod action;
mod architecture;
mod at_boot;
mod audit;
mod build_check;
mod cli;
mod container_events;
mod crash;
mod data_folder;
mod deliveries;
mod demo;
mod deploy;
mod description;
mod docker_restart;
mod docs;
mod documentation;
mod events;
mod floors;
mod from_nothing;
mod full_disk;
mod gate;
mod host_names;
mod init;
mod jobs;
mod keep;
mod large_files;
mod load;
mod maintenance;
mod matrix;
mod migrations;
mod operate;
mod order;
mod outage;
mod override_gate;
mod pressed;
mod readers;
mod reasons;
mod reconcile;
mod registry;
mod rollback;
mod rules;
mod runner;
mod secrets;
mod several_commits;
mod sign_in;
mod silent_hosts;
mod values;
mod watch;
mod which_commit;
mod who_may;
mod workflows;
mod world;
mod writes;
