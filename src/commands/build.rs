//! `windlass build`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use windlass_core::names::AppName;
use windlass_images::{ContextFolder, Lack, dockerfile, is_pattern};
use windlass_registry::RegistryCredentials;

use crate::arguments::Where;
use crate::checkout::Checkout;
use crate::client::Client;
use crate::error::{CommandError, Status};
use crate::image::{self, Supplies};
use crate::output::Finding;
use crate::recipe::{Folders, Overrides, Recipe};
use crate::target::{given, read_project_file, server_url, stage_of, unreadable};

/// Make images
#[derive(Debug, Subcommand)]
pub(crate) enum BuildCommand {
    Check(BuildCheck),
}

pub(crate) async fn run(command: BuildCommand) -> Result<Status, CommandError> {
    let BuildCommand::Check(arguments) = command;
    check(&arguments).await
}

/// Check what a build in GitHub Actions needs, without building: Docker, the Dockerfile, the registry, the server
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass build check                    the Docker Engine, every app's Dockerfile and registry, the server
  windlass build check --app api --json
  WINDLASS_REGISTRY_PASSWORD=… windlass build check --registry-username bot")]
pub(crate) struct BuildCheck {
    /// The file that says what the app is
    #[arg(long, value_name = "FILE", default_value = "windlass.toml")]
    config: PathBuf,
    /// Who signs in to the registry
    #[arg(long, env = "WINDLASS_REGISTRY_USERNAME", value_name = "NAME")]
    registry_username: Option<String>,
    /// With what; better given in the environment, where other users of the machine do not see it
    #[arg(
        long,
        env = "WINDLASS_REGISTRY_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        value_parser = crate::arguments::secret
    )]
    registry_password: Option<secrecy::SecretString>,
    /// The Docker Engine of this machine
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = crate::image::DOCKER)]
    docker: String,
    #[command(flatten)]
    place: Where,
}

/// All of it, also where the first thing is wrong: a person mends several at once.
async fn check(arguments: &BuildCheck) -> Result<Status, CommandError> {
    let mut findings = vec![Finding::of("checkout", checkout()), Finding::of("Docker Engine", docker(arguments).await)];
    let recipes = recipes(arguments)?;
    let supplies = Supplies { credentials: credentials(arguments), ..Supplies::default() };
    for (app, recipe) in &recipes {
        let dockerfile = || format!("{}", recipe.context.join(&recipe.dockerfile).display());
        findings.push(Finding::of(
            &format!("{app}: Dockerfile"),
            recipe.check_files().and_then(|()| has_what_it_copies(recipe)).map(|()| dockerfile()),
        ));
        let name = format!("{app}: registry");
        findings.push(match &recipe.image {
            None => {
                Finding::skipped(&name, "windlass.toml has no `image`: the engine that builds it is the host's own")
            }
            Some(image) => {
                let takes = recipe.check_registry(&supplies).await;
                Finding::of(&name, takes.map(|()| format!("{} takes {image}", image.registry())))
            }
        });
    }
    findings.push(server(&arguments.place).await);
    Finding::report(&findings, arguments.place.json)
}

/// Whether the context has all that the Dockerfile names. A pattern that means nothing there is no mistake to BuildKit.
fn has_what_it_copies(recipe: &Recipe) -> Result<(), CommandError> {
    let path = recipe.context.join(&recipe.dockerfile);
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    // What is wrong with the file itself, the build says better.
    let Ok(copies) = dockerfile::copies(&text, recipe.target.as_deref(), &recipe.args) else { return Ok(()) };
    let context = ContextFolder::open(&recipe.context, &recipe.dockerfile)?;
    let mut lacking = Vec::new();
    for copied in &copies {
        for source in copied.sources.iter().filter(|source| !is_pattern(source)) {
            let why = match context.lacks(source) {
                None => continue,
                Some(Lack::Missing) => format!("which {} lacks", recipe.context.display()),
                Some(Lack::Ignored) => "which .dockerignore leaves out".to_owned(),
            };
            lacking.push(format!("{}:{}: {} names {source}, {why}", path.display(), copied.line, copied.word));
        }
    }
    match &lacking[..] {
        [] => Ok(()),
        _ => Err(CommandError::failed(lacking.join("; ")).hint(
            "set `build.context` in windlass.toml to the folder that has it, with `build.dockerfile` from there",
        )),
    }
}

fn checkout() -> Result<String, CommandError> {
    let checkout = Checkout::of(Path::new("."))?
        .ok_or_else(|| CommandError::failed("this folder is in no Git repository with a commit"))?;
    Ok(match checkout.changes.len() {
        0 => format!("commit {}", checkout.commit.short()),
        number => format!("commit {}, and {number} changed since", checkout.commit.short()),
    })
}

async fn docker(arguments: &BuildCheck) -> Result<String, CommandError> {
    let facts = image::builder(&arguments.docker).await?.facts().await?;
    Ok(format!("{} builds for {}", facts.version, facts.platform))
}

fn recipes(arguments: &BuildCheck) -> Result<std::collections::BTreeMap<AppName, Recipe>, CommandError> {
    let path = &arguments.config;
    let file = read_project_file(path, &path.display().to_string())?.ok_or_else(|| {
        CommandError::misused(format!("there is no {}", path.display())).hint("`windlass init` writes one")
    })?;
    let stage = match given(arguments.place.stage.as_deref()) {
        Some(stage) => Some(stage.parse()?),
        None => stage_of(&file),
    };
    // Without a stage, what the file says for all of them.
    let config = match stage.or_else(|| "production".parse().ok()) {
        Some(stage) => file.resolve(&stage),
        None => return Ok(std::collections::BTreeMap::new()),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folders = Folders { workspace: Path::new("."), config: folder };
    Recipe::of(&config, arguments.place.app.as_ref(), &Overrides::default(), folders)
}

fn credentials(arguments: &BuildCheck) -> Option<RegistryCredentials> {
    let username = arguments.registry_username.clone()?;
    Some(RegistryCredentials { username, password: arguments.registry_password.clone()? })
}

async fn server(place: &Where) -> Finding {
    let Some(address) = given(place.server.as_deref()) else {
        return Finding::skipped("server", "none is given (WINDLASS_SERVER or --server)");
    };
    let client = server_url(address).and_then(|url| Client::new(url, None));
    let answers = match client {
        Ok(client) => client.check_version().await.map(|()| format!("{} answers", client.server())),
        Err(error) => Err(error),
    };
    Finding::of("server", answers)
}
