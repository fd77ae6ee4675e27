//! `windlass action`: one step of a job of GitHub Actions, as the container action runs it. The runner holds nothing: what
//! is under way goes on or is undone at the service.

mod deploy;
mod inputs;
mod log;
mod narrate;
mod outputs;
mod pairs;
mod release;
mod runner;
mod sign_in;
mod stop;
mod summary;

use windlass_core::config::ProjectFile;
use windlass_core::names::StageName;

use crate::client::ClientError;
use crate::error::{CommandError, Status};
use crate::target::{read_project_file, stage_of};

use inputs::{ActionCommand, Inputs};
use log::Log;
use outputs::Output;
use runner::Runner;
use stop::UnderWay;

/// Does what the step's inputs ask for. All there is to say is in the log, the outputs and the summary.
pub(crate) async fn run() -> Status {
    let log = Log::default();
    log.line(concat!("Windlass ", env!("CARGO_PKG_VERSION")));
    // Before anything else: the first process of a container is not ended by a signal that nobody listens for.
    let stopped = stop::asked_to();
    let environment = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let runner = match Runner::read(&environment) {
        Ok(runner) => runner,
        Err(error) => {
            log.error(&error);
            return error.status();
        }
    };
    let under_way = UnderWay::default();
    let mut working = Box::pin(work(&environment, &runner, &log, &under_way));
    let ended = tokio::select! {
        biased;
        ended = &mut working => Some(ended),
        () = stopped => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            // What has just been asked for can be cancelled as soon as it has a name.
            tokio::select! {
                _ = &mut working => {}
                () = under_way.settles() => {}
            }
            drop(working);
            Err(under_way.cancel(&log).await.into())
        }
    };
    ended.map_or_else(|failed| failed.tell(&runner, &log), |()| Status::Done)
}

async fn work(
    environment: &dyn Fn(&str) -> Option<String>,
    runner: &Runner,
    log: &Log,
    under_way: &UnderWay,
) -> Result<(), Failed> {
    let inputs = Inputs::read(environment)?;
    let secrets = [&inputs.token, &inputs.registry_password, &inputs.github_token];
    let secrets = secrets.into_iter().flatten().chain([&runner.cache.token]).chain(inputs.build_secrets.values());
    for secret in secrets {
        log.hide(secret);
    }
    let step = JobStep { file: project_file(&inputs, runner)?, inputs, runner, log, under_way };
    match step.inputs.command {
        ActionCommand::Release => Box::pin(release::run(&step)).await,
        ActionCommand::Deploy | ActionCommand::Rollback => Box::pin(deploy::run(&step)).await,
        ActionCommand::Status => deploy::status(&step).await,
    }
}

/// What every command works with.
struct JobStep<'a> {
    inputs: Inputs,
    /// `None` where there is none, which a rollback does not need.
    file: Option<ProjectFile>,
    runner: &'a Runner,
    log: &'a Log,
    under_way: &'a UnderWay,
}

impl JobStep<'_> {
    /// The input, or what windlass.toml leaves no doubt about.
    fn stage(&self) -> Result<StageName, CommandError> {
        let stage = match (&self.inputs.stage, &self.file) {
            (Some(stage), _) => return Ok(stage.clone()),
            (None, Some(file)) => stage_of(file),
            (None, None) => None,
        };
        stage.ok_or_else(|| {
            CommandError::misused("the input `stage` is empty, and windlass.toml does not tell which is meant")
                .coded("input_invalid")
                .hint("give the stage, such as `stage: production`")
        })
    }

    /// Adds to the step's summary.
    fn summarize(&self, markdown: &str) -> Result<(), CommandError> {
        self.runner.outputs.summarize(&self.log.masked(markdown))
    }
}

/// Mistakes are shown under the path from the repository's root, where annotations find it.
fn project_file(inputs: &Inputs, runner: &Runner) -> Result<Option<ProjectFile>, CommandError> {
    read_project_file(&runner.workspace.join(&inputs.config), &inputs.config.display().to_string())
}

/// Why the step failed.
struct Failed {
    error: CommandError,
    /// What there is to tell besides, for the summary; the cause stands before it.
    story: String,
}

impl From<CommandError> for Failed {
    fn from(error: CommandError) -> Self {
        Self { error, story: String::new() }
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        CommandError::from(error).into()
    }
}

impl Failed {
    fn tell(self, runner: &Runner, log: &Log) -> Status {
        let Self { error, story } = self;
        let error = error.seen_from(&runner.workspace);
        log.error(&error);
        let summary = log.masked(&format!("{}{story}", summary::failed(&error)));
        let code = error.code().unwrap_or("failed");
        let written = runner.outputs.set(Output::Reason, code).and_then(|()| runner.outputs.summarize(&summary));
        if let Err(unwritten) = written {
            log.error(&unwritten);
        }
        match error.status() {
            // What Ctrl-C is on a terminal, a cancelled job is here.
            Status::Interrupted => Status::Failed,
            status => status,
        }
    }
}
