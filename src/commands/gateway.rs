//! `windlass gateway`

use std::path::PathBuf;

use clap::Args;
use windlass_core::config::{GatewayListen, ServerConfig};
use windlass_core::names::HostName;
use windlass_gateway::{GatewayError, GatewayOptions};

use super::server_file;
use super::stop::asked_to_stop;
use crate::arguments::Logging;
use crate::error::{CommandError, Status};
use crate::output::start_log;

/// Run the HTTP front of one host
#[derive(Debug, Args)]
///
/// Started while one runs for the same host, it takes over from that one, which serves what it still has and ends.
#[command(after_help = "Examples:
  windlass gateway --config /etc/windlass/windlass-server.toml
  windlass gateway --config /etc/windlass/windlass-server.toml --host a")]
pub(crate) struct Gateway {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    config: PathBuf,
    /// Of which host of the file [default: the only one]
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    #[command(flatten)]
    logging: Logging,
}

pub(crate) async fn run(arguments: Gateway) -> Result<Status, CommandError> {
    let Gateway { config, host, logging } = arguments;
    start_log(&logging)?;
    let server = server_file::read(&config)?;
    let host = host.map_or_else(|| only_host(&server), Ok)?;
    let listen = listen(&server, &host)?.clone();
    server_file::warn(&server);
    windlass_webhook::close_to_others(&server.data).map_err(|error| {
        CommandError::failed(format!("the data folder {} cannot be used", server.data.display()))
            .caused_by(&error)
            .hint("let this user make and close it, or change `data` in the server's file")
    })?;
    let snapshot = server.data.join(format!("gateway-{host}.json"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = asked_to_stop()?;
    let options = GatewayOptions::configured(listen, snapshot, threads);
    let gateway = windlass_gateway::Gateway::start(options).await?;
    tokio::select! {
        () = stop => {}
        () = gateway.handed_over() => {}
    }
    gateway.stop().await;
    Ok(Status::Done)
}

/// Where the file leaves no doubt.
fn only_host(server: &ServerConfig) -> Result<HostName, CommandError> {
    match server.hosts.keys().collect::<Vec<_>>()[..] {
        [only] => Ok(only.clone()),
        ref several => {
            let known: Vec<&str> = several.iter().map(|host| host.as_str()).collect();
            let message = format!("the server's file has several hosts: {}", known.join(", "));
            Err(CommandError::misused(message).hint("say whose gateway this is with --host"))
        }
    }
}

fn listen<'a>(server: &'a ServerConfig, host: &HostName) -> Result<&'a GatewayListen, CommandError> {
    let config = server.hosts.get(host).ok_or_else(|| {
        let known: Vec<&str> = server.hosts.keys().map(HostName::as_str).collect();
        CommandError::misused(format!("the server's file has no host {host}; it has {}", known.join(", ")))
            .hint("name one of them with --host")
    })?;
    config.gateway.as_ref().ok_or_else(|| {
        CommandError::misused(format!("the server's file gives host {host} no gateway"))
            .hint(format!("add [hosts.{host}.gateway] with `http` and `control`"))
    })
}

impl From<GatewayError> for CommandError {
    fn from(error: GatewayError) -> Self {
        Self::failed(error.to_string())
    }
}
