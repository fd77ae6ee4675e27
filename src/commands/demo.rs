//! `windlass demo`: what a team would do in a day, on this machine, against a stand-in GitHub. It needs a Docker Engine
//! and nothing else, and leaves nothing behind, also when it is interrupted.

mod processes;
mod story;
mod traffic;
mod world;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Status;
use crate::output::Printer;
use story::Told;
use world::World;

/// See it work: a merged commit's way into production on this machine, against a stand-in GitHub
///
/// Needs a Docker Engine and nothing else, and leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass demo            stays up until Ctrl-C
  windlass demo --once     exits, with 0 only if all that it tells of held")]
pub(crate) struct DemoArguments {
    /// Exit at the end of the story
    #[arg(long)]
    once: bool,
}

/// Runs the demo: 0 only if all that it tells of held.
pub(crate) async fn run(arguments: &DemoArguments, output: &Printer) -> anyhow::Result<Status> {
    let mut interrupted = Interruption::listen()?;
    output.line("Windlass demo: a merged commit's way into production, on this machine.");
    let mut world = World::build(output).await?;
    let told = tokio::select! {
        told = story::tell(&mut world, output) => told,
        () = interrupted.wait() => Ok(Told::Interrupted),
    };
    if let Ok(Told::AllHeld) = &told
        && !arguments.once
    {
        output.line("");
        output.line("It stays up until Ctrl-C, which removes everything:");
        output.line(&format!("  the app                       {}", world.app_url()));
        output.line(&format!("  the page of the last rollback {}", world.newest_deployment().await?.url));
        interrupted.wait().await;
    }
    if told.is_err() {
        world.show_logs(output);
    }
    output.line("");
    output.line("Removing everything …");
    world.tear_down().await?;
    output.line("Nothing is left behind.");
    match told? {
        Told::AllHeld => Ok(Status::Done),
        Told::NotAllHeld => Ok(Status::Failed),
        Told::Interrupted => Ok(Status::Interrupted),
    }
}

/// Ctrl-C, a polite kill, or the terminal going away.
struct Interruption {
    signals: Vec<tokio::signal::unix::Signal>,
}

impl Interruption {
    fn listen() -> anyhow::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Self { signals: kinds.into_iter().map(signal).collect::<Result<_, _>>()? })
    }

    async fn wait(&mut self) {
        let any = self.signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(any).await;
    }
}
