//! What happens in the demo, in order, and whether it came as it should.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use windlass_core::api::MessageBody;
use windlass_core::deployment::Event;
use windlass_core::names::ReleaseNumber;
use windlass_demo::github::{CheckState, Conclusion};

use super::traffic::{Count, Traffic, release_in};
use super::world::{PROJECT, STAGE, World};
use crate::output::Printer;

/// How the story ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// As it should.
    AllHeld,
    /// Something did not come as it should.
    NotAllHeld,
    /// In the middle.
    Interrupted,
}

/// How long one turn of the story may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The story and what was found wrong in it.
struct Teller<'a> {
    world: &'a World,
    output: &'a Printer,
    wrong: Vec<String>,
    begun: Instant,
}

/// Tells the story.
pub(super) async fn tell(world: &mut World, output: &Printer) -> anyhow::Result<Told> {
    let mut teller = Teller { world, output, wrong: Vec::new(), begun: Instant::now() };

    teller.chapter("Release 1: a merge, green checks, a migration, and the app answers");
    let first = teller.release("a shop with a front door", &[("SAMPLE_VERSION", "1")], 1).await?;
    teller.expect_statuses(&first, &["queued", "in_progress", "success"]).await;
    teller.expect_answer("release 1").await?;

    teller.chapter("Release 2, under 200 requests a second");
    let traffic = Traffic::start(world.app_request());
    let second = teller.release("a second counter", &[("SAMPLE_VERSION", "2")], 2).await?;
    teller.expect_statuses(&second, &["queued", "in_progress", "success"]).await;
    let count = traffic.stop().await?;
    teller.report(&count, &["release 1", "release 2"]);
    teller.expect_statuses(&first, &["queued", "in_progress", "success", "inactive"]).await;

    teller.chapter("Release 3 never becomes healthy: refused, and release 2 goes on");
    let knobs = [("SAMPLE_VERSION", "3"), ("SAMPLE_NEVER_HEALTHY", "1")];
    let third = teller.release("a door that does not open", &knobs, 3).await?;
    teller.expect_statuses(&third, &["queued", "in_progress", "failure"]).await;
    teller.show_failure().await?;
    teller.expect_answer("release 2").await?;

    teller.chapter("Back to release 1");
    output.line("  $ windlass rollback");
    let rollback = world.rollback().await?;
    let to_first = rollback.releases.values().eq([&ReleaseNumber(1)]);
    teller.check(to_first, "a rollback goes to the previous release that succeeded");
    teller.follow().await?;
    teller.expect_last_statuses("rollback", &["queued", "in_progress", "success"]).await;
    teller.expect_answer("release 1").await?;
    teller.expect_statuses(&second, &["queued", "in_progress", "success", "inactive"]).await;

    teller.what_github_was_told();
    output.line("");
    output.line(&format!("failed requests: {}", count.failed));
    if teller.wrong.is_empty() {
        output.line(&format!("All of it held, in {:.1} s.", teller.begun.elapsed().as_secs_f64()));
        return Ok(Told::AllHeld);
    }
    for wrong in &teller.wrong {
        output.line(&format!("did not hold: {wrong}"));
    }
    Ok(Told::NotAllHeld)
}

impl Teller<'_> {
    fn chapter(&self, title: &str) {
        self.output.line("");
        self.output.line(title);
    }

    fn say(&self, what: &str) {
        self.output.line(&format!("  {what}"));
    }

    fn check(&mut self, held: bool, what: &str) {
        if held {
            self.say(&format!("✓ {what}"));
        } else {
            self.say(&format!("✗ {what}"));
            self.wrong.push(what.to_owned());
        }
    }

    /// A pull request is merged, its image built and registered, its checks turn green; the rest happens by itself.
    async fn release(&mut self, title: &str, env: &[(&str, &str)], number: u64) -> anyhow::Result<String> {
        let (world, repository) = (self.world, &self.world.repository);
        let branch = format!("change-{number}");
        repository.push(&branch, title);
        let pull_request = repository.open_pull_request(&branch);
        let commit = repository.merge_pull_request(pull_request);
        let short = commit.get(..7).context("a commit's name")?;
        self.say(&format!(
            "pull request #{pull_request} `{title}` is merged as {short}; GitHub sends a signed webhook"
        ));

        let check = repository.add_check_run(&commit, "test", CheckState::InProgress);
        let begun = Instant::now();
        let image = world.build_image(env).await?;
        self.say(&format!("image built in {:.1} s: {image}", begun.elapsed().as_secs_f64()));
        let release = world.register(&commit, &image).await?;
        self.output.line(&format!("  $ windlass release create --commit {short} …"));
        self.check(release.number == ReleaseNumber(number), &format!("it is release {number}"));

        let waits = self.until_status(&commit, "queued").await;
        self.check(waits, "the deployment waits for CI");
        repository.complete_check_run(check, Conclusion::Success);
        self.say("the check `test` turns green; GitHub sends a webhook");
        self.follow().await?;
        Ok(commit)
    }

    /// Tells what happens to the newest deployment while it happens.
    async fn follow(&self) -> anyhow::Result<()> {
        let deployment = self.world.newest_deployment().await?;
        let mut messages = self.world.api()?.deployment_events(&deployment.id, None).await?;
        let mut begun = Instant::now();
        while let Some(sent) = messages.next().await {
            match sent?.message.body {
                MessageBody::Event { body: Event::StepStarted { .. }, text } => {
                    begun = Instant::now();
                    self.say(&format!("  {text}"));
                }
                MessageBody::Event { body: Event::StepFinished { .. }, .. } => {
                    self.say(&format!("    done in {:.2} s", begun.elapsed().as_secs_f64()));
                }
                MessageBody::Event { text, .. } => self.say(&format!("  {text}")),
                MessageBody::Log { source, line } if source != "windlass" => self.say(&format!("    | {line}")),
                MessageBody::Log { .. } => {}
            }
        }
        Ok(())
    }

    async fn until_status(&self, commit: &str, state: &str) -> bool {
        self.world.repository.until_status(commit, state, PATIENCE).await.is_ok()
    }

    async fn expect_statuses(&mut self, commit: &str, expected: &[&str]) {
        let last = expected.last().copied().unwrap_or_default();
        self.until_status(commit, last).await;
        let deployments = self.world.repository.deployments();
        let told: Vec<String> = deployments
            .iter()
            .find(|deployment| deployment.sha == commit && deployment.task == "deploy")
            .map(|deployment| deployment.states().iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        self.check(told == expected, &format!("GitHub was told {}", expected.join(", ")));
    }

    /// The same for the newest deployment on GitHub of some kind.
    async fn expect_last_statuses(&mut self, task: &str, expected: &[&str]) {
        let last = expected.last().copied().unwrap_or_default();
        let repository = &self.world.repository;
        let deployment = repository
            .until_deployment(|deployment| deployment.task == task && deployment.state() == Some(last), PATIENCE)
            .await;
        let told: Vec<String> =
            deployment.map(|found| found.states().iter().map(ToString::to_string).collect()).unwrap_or_default();
        self.check(told == expected, &format!("GitHub was told {} of the {task}", expected.join(", ")));
    }

    async fn expect_answer(&mut self, release: &str) -> anyhow::Result<()> {
        let answer = self.world.app_request().send().await?.text().await?;
        self.check(release_in(&answer) == release, &format!("the app answers: {}", answer.trim()));
        Ok(())
    }

    async fn show_failure(&mut self) -> anyhow::Result<()> {
        let deployment = self.world.newest_deployment().await?;
        let failure = deployment.failure.context("the deployment did not fail")?;
        self.say(&format!("why: {}", failure.summary));
        for line in failure.log.iter().rev().take(3).rev() {
            self.say(&format!("  the app said: {line}"));
        }
        self.check(!failure.log.is_empty(), "the failure shows the app's own last log lines");
        Ok(())
    }

    fn report(&mut self, count: &Count, releases: &[&str]) {
        let each: Vec<String> =
            count.by_release.iter().map(|(release, count)| format!("{count} by {release}")).collect();
        self.say(&format!("{} requests answered: {}", count.answered, each.join(", ")));
        let example = count.example.as_deref().unwrap_or("none failed");
        self.check(count.failed == 0, &format!("failed while it switched: {} ({example})", count.failed));
        let served = releases.iter().all(|release| count.by_release.contains_key(*release));
        self.check(served, "both releases answered, one after the other");
    }

    fn what_github_was_told(&self) {
        self.chapter(&format!("What GitHub was told of {PROJECT}, environment {STAGE}"));
        let mut deployments = self.world.repository.deployments();
        deployments.sort_by_key(|deployment| deployment.id);
        for deployment in deployments {
            let sha = deployment.sha.get(..7).unwrap_or_default();
            self.say(&format!("deployment {} of {sha} ({})", deployment.id, deployment.task));
            for status in deployment.statuses {
                self.say(&format!("  {:<11} {}", status.state, status.description));
            }
        }
    }
}
