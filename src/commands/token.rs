//! `windlass token`: on the server, on its data folder, whether the service runs or not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{Scope, TokenView};
use windlass_core::names::{ProjectName, StageName};
use windlass_webhook::{TokenRequest, tokens};

use super::server_file;
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};

/// Make, list and end tokens; on the server, beside the running service
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Create(TokenCreate),
    List(TokenList),
    Revoke(TokenRevoke),
}

pub(crate) async fn run(command: TokenCommand) -> Result<Status, CommandError> {
    match command {
        TokenCommand::Create(arguments) => create(arguments).await,
        TokenCommand::List(arguments) => list(arguments).await,
        TokenCommand::Revoke(arguments) => revoke(arguments).await,
    }
}

/// Make a token and print it, once
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token create --name anna --scopes admin
  windlass token create --name ci --scopes release,deploy --project acme/shop --stage staging --json")]
pub(crate) struct TokenCreate {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    config: PathBuf,
    /// Whose it is: shown as who did what
    #[arg(long)]
    name: String,
    /// What it may do: read, release, deploy, admin
    #[arg(long, value_delimiter = ',', required = true, value_name = "SCOPES")]
    scopes: Vec<Scope>,
    /// Only for this project
    #[arg(short, long, value_name = "OWNER/NAME")]
    project: Option<ProjectName>,
    /// Only for this stage
    #[arg(short, long, value_name = "NAME")]
    stage: Option<StageName>,
    /// Print one JSON document instead
    #[arg(long)]
    json: bool,
}

async fn create(arguments: TokenCreate) -> Result<Status, CommandError> {
    let TokenCreate { config, name, scopes, project, stage, json } = arguments;
    let config = server_file::read(&config)?;
    if let Some(project) = project.as_ref().filter(|project| !config.projects.contains_key(project)) {
        let known: Vec<String> = config.projects.keys().map(ToString::to_string).collect();
        return Err(CommandError::misused(format!("the server's file has no project {project}"))
            .hint(format!("it has {}", known.join(", "))));
    }
    let request = TokenRequest { name, scopes, project, stage };
    let (token, view) = tokens::create(&config, &request).await?;
    // The only place where it is ever shown.
    if json {
        output::json(&Created { token: token.expose_secret(), view: &view })?;
    } else {
        output::note(&format!("token {} for {}; this is the only time that it is shown:", view.id, view.name));
        output::result(token.expose_secret())?;
    }
    Ok(Status::Done)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Created<'a> {
    token: &'a str,
    #[serde(flatten)]
    view: &'a TokenView,
}

/// List the tokens; their values are not kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token list --config windlass-server.toml")]
pub(crate) struct TokenList {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    config: PathBuf,
    /// Print one JSON document instead
    #[arg(long)]
    json: bool,
}

async fn list(arguments: TokenList) -> Result<Status, CommandError> {
    let TokenList { config, json } = arguments;
    let tokens = tokens::list(&server_file::read(&config)?).await?;
    if json {
        output::json(&tokens)?;
        return Ok(Status::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "NAME", "SCOPES", "PROJECT", "STAGE", "CREATED", "LAST USED", "REVOKED"]);
    for token in tokens {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| Scope::as_str(*scope)).collect();
        let when = |at: Option<Timestamp>| at.map(|at| ago(at, now)).unwrap_or_default();
        table.row([
            token.id.to_string(),
            token.name,
            scopes.join(","),
            token.project.map_or_else(|| "any".to_owned(), String::from),
            token.stage.map_or_else(|| "any".to_owned(), String::from),
            ago(token.created_at, now),
            when(token.last_used_at),
            when(token.revoked_at),
        ]);
    }
    if table.is_empty() {
        output::note("there is no token yet: `windlass token create` makes one");
    } else {
        output::result(&table.to_string())?;
    }
    Ok(Status::Done)
}

/// End a token from now on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token revoke 3 --config windlass-server.toml")]
pub(crate) struct TokenRevoke {
    /// Its number, as `token list` shows it
    id: i64,
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    config: PathBuf,
    /// Print one JSON document instead
    #[arg(long)]
    json: bool,
}

async fn revoke(arguments: TokenRevoke) -> Result<Status, CommandError> {
    let TokenRevoke { id, config, json } = arguments;
    if !tokens::revoke(&server_file::read(&config)?, id).await? {
        return Err(CommandError::failed(format!("there is no token {id} that was not ended before"))
            .hint("`windlass token list` shows them"));
    }
    if json {
        output::json(&serde_json::json!({ "id": id }))?;
    } else {
        output::result(&format!("token {id} is ended"))?;
    }
    Ok(Status::Done)
}
