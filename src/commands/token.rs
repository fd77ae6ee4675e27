//! `windlass token`: on the server, on its data folder, whether the service runs or not.

use secrecy::ExposeSecret;
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{Scope, TokenView};
use windlass_webhook::{TokenRequest, tokens};

use super::server_file;
use crate::cli::{TokenCommand, TokenCreate, TokenList, TokenRevoke};
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};

pub(crate) async fn run(command: TokenCommand) -> Result<Status, CommandError> {
    match command {
        TokenCommand::Create(arguments) => create(arguments).await,
        TokenCommand::List(arguments) => list(arguments).await,
        TokenCommand::Revoke(arguments) => revoke(arguments).await,
    }
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
