//! `command: release`: build what is checked out, push it, register it. A commit that is registered already is not built
//! again.

use std::collections::BTreeMap;

use windlass_core::api::{NewRelease, Release, StageView};
use windlass_core::names::{AppName, CommitSha, Digest, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_registry::RegistryCredentials;

use super::narrate::Narrator;
use super::outputs::Output;
use super::sign_in::sign_in;
use super::{Failed, JobStep, deploy, summary};
use crate::checkout::Checkout;
use crate::error::{CommandError, Status};
use crate::image::{self, Supplies};
use crate::pages;
use crate::recipe::{Folders, Recipe};

pub(super) async fn run(step: &JobStep<'_>) -> Result<(), Failed> {
    let ToBuild { config: text, recipes, pages } = what_to_build(step)?;
    let source = Source::of(step)?;
    let service = sign_in(&step.inputs, step.runner, &step.stage()?, step.log).await?;
    if step.runner.tests_a_merge || !source.changes.is_empty() {
        let stage = service.client.stage(&service.stage).await?;
        refuse_test_merge(step, &stage)?;
        refuse_changes(&source, &stage)?;
    }
    let mut releases: BTreeMap<AppName, Release> = BTreeMap::new();
    if !step.inputs.rebuild && source.changes.is_empty() {
        for app in recipes.keys() {
            if let Some(release) = service.client.release_of_commit(&service.stage, app, &source.commit).await? {
                step.log.line(&format!(
                    "{} is release {} of {app} already: nothing to build",
                    source.commit.short(),
                    release.number
                ));
                step.summarize(&summary::release(
                    &release,
                    &service.stage.spoken(),
                    "Registered already; nothing was built.",
                ))?;
                releases.insert(app.clone(), release);
            }
        }
    }
    let missing: BTreeMap<&AppName, &Recipe> = recipes.iter().filter(|(app, _)| !releases.contains_key(*app)).collect();
    for (app, digest) in build(step, &source, &missing).await? {
        let new = NewRelease {
            commit: source.commit.clone(),
            digest,
            image: recipes[&app].image.clone(),
            config: text.clone(),
            pages: pages.get(&app).cloned().unwrap_or_default(),
            rebuild: step.inputs.rebuild,
            uncommitted: !source.changes.is_empty(),
        };
        let release = service.client.create_release(&service.stage, &app, &new).await?;
        step.log.line(&format!(
            "release {} of {app} on {} is {}",
            release.number,
            service.stage.spoken(),
            source.commit.short()
        ));
        step.summarize(&summary::release(&release, &service.stage.spoken(), "Built, pushed and registered."))?;
        releases.insert(app, release);
    }
    tell(step, &releases)?;
    let numbers: BTreeMap<AppName, ReleaseNumber> = releases.into_iter().map(|(app, it)| (app, it.number)).collect();
    if step.inputs.wait {
        return deploy::deploy(step, &service, DeploymentKind::Deploy, numbers).await;
    }
    Ok(())
}

/// What a job builds, by app.
struct ToBuild {
    /// windlass.toml's text, which every release carries.
    config: String,
    recipes: BTreeMap<AppName, Recipe>,
    /// Each app's own pages, by status.
    pages: BTreeMap<AppName, BTreeMap<u16, String>>,
}

/// Of each app that is meant.
fn what_to_build(step: &JobStep<'_>) -> Result<ToBuild, CommandError> {
    let path = step.runner.workspace.join(&step.inputs.config);
    let missing = || {
        CommandError::misused(format!("there is no {}", step.inputs.config.display()))
            .coded("config_missing")
            .hint("is the repository checked out (`uses: actions/checkout`)? `windlass init` writes the file")
    };
    let file = step.file.as_ref().ok_or_else(missing)?;
    let text = std::fs::read_to_string(&path).map_err(|error| missing().caused_by(&error))?;
    let folders = Folders { workspace: &step.runner.workspace, config: path.parent().unwrap_or(&path) };
    let config = file.resolve(&step.stage()?);
    let recipes = Recipe::of(&config, step.inputs.app.as_ref(), &step.inputs.overrides, folders)?;
    recipes.values().try_for_each(|recipe| recipe.expect_within(folders.workspace))?;
    let apps = config.apps.iter().filter(|(app, _)| recipes.contains_key(*app));
    let pages = apps.map(|(app, config)| Ok((app.clone(), pages::read(config, folders.config)?)));
    let pages = pages.collect::<Result<_, CommandError>>()?;
    Ok(ToBuild { config: text, recipes, pages })
}

/// What is built from.
struct Source {
    commit: CommitSha,
    labels: BTreeMap<String, String>,
    tag: String,
    /// Paths that are not as committed.
    changes: Vec<String>,
}

impl Source {
    /// What is checked out counts, also where the event is about another commit.
    fn of(step: &JobStep<'_>) -> Result<Self, CommandError> {
        let checkout = Checkout::of(&step.runner.workspace)?.ok_or_else(|| {
            CommandError::failed("nothing is checked out in the workspace")
                .coded("no_checkout")
                .hint("put `uses: actions/checkout` before this step")
        })?;
        let Checkout { commit, committed_at, changes } = checkout;
        if let Some(event) = step.runner.sha.as_ref().filter(|event| **event != commit) {
            step.log.line(&format!(
                "{} is checked out, and the job's event is about {}",
                commit.short(),
                event.short()
            ));
        }
        let source = format!("{}/{}", step.runner.github, step.runner.repository);
        let labels = [("revision", commit.to_string()), ("source", source), ("created", committed_at.to_string())];
        let labels = labels.into_iter().map(|(name, value)| (format!("org.opencontainers.image.{name}"), value));
        let tag = match changes.is_empty() {
            true => commit.to_string(),
            false => format!("{commit}_uncommitted_{:016x}", rand::random::<u64>()),
        };
        Ok(Self { labels: labels.collect(), tag, commit, changes })
    }
}

/// What users get must be what somebody has merged, not what GitHub would have if somebody did.
fn refuse_test_merge(step: &JobStep<'_>, stage: &StageView) -> Result<(), CommandError> {
    if !step.runner.tests_a_merge || !stage.policy.production {
        return Ok(());
    }
    let message = format!("a job of a pull request registers no release on {}, which is for production", stage.stage);
    Err(CommandError::failed(message)
        .with_status(Status::Refused)
        .coded("pull_request")
        .because("the job's commit is a merge that GitHub made for the tests, and no branch has it")
        .hint(format!("run the job on `push` to {}, or give a stage that is not for production", stage.policy.branch)))
}

/// What a merge deploys must be what was merged.
fn refuse_changes(source: &Source, stage: &StageView) -> Result<(), CommandError> {
    if source.changes.is_empty() || stage.policy.deploy_on.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 10;
    let mut paths: Vec<String> = source.changes.iter().take(SHOWN).map(|path| format!("  {path}")).collect();
    if source.changes.len() > SHOWN {
        paths.push(format!("  and {} more", source.changes.len() - SHOWN));
    }
    let message = format!(
        "what is checked out is not {} any more, and {} is deployed by itself",
        source.commit.short(),
        stage.stage
    );
    Err(CommandError::failed(message)
        .coded("uncommitted_changes")
        .details(paths)
        .hint("an earlier step has changed or left these: build inside the Dockerfile, or list them in .gitignore"))
}

/// Every recipe once, whoever shares it.
async fn build(
    step: &JobStep<'_>,
    source: &Source,
    recipes: &BTreeMap<&AppName, &Recipe>,
) -> Result<BTreeMap<AppName, Digest>, CommandError> {
    if recipes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let supplies = |recipe: &Recipe| Supplies {
        tag: source.tag.clone(),
        labels: source.labels.clone(),
        secrets: step.inputs.build_secrets.clone(),
        cache_from: step.inputs.cache_from.clone(),
        cache_to: step.inputs.cache_to.clone(),
        github_cache: Some(step.runner.cache.clone()),
        builder_image: step.inputs.builder_image.clone(),
        credentials: credentials(step, recipe),
    };
    let builder = image::builder(&step.runner.docker).await?;
    for recipe in recipes.values() {
        recipe.check_files()?;
        recipe.check_secrets(&supplies(recipe))?;
        recipe.check_registry(&supplies(recipe)).await?;
    }
    let mut digests: BTreeMap<AppName, Digest> = BTreeMap::new();
    for (app, recipe) in recipes {
        let shared = recipes.iter().find(|(other, same)| digests.contains_key(**other) && same == &recipe);
        let digest = match shared {
            Some((other, _)) => digests[*other].clone(),
            None => {
                step.log.group(&format!("build {app}"));
                let mut narrator = Narrator::new(step.log);
                let digest = recipe.make(&builder, &supplies(recipe), &mut |making| narrator.tell(making)).await?;
                step.log.line(&digest.to_string());
                step.log.end_group();
                digest
            }
        };
        digests.insert((*app).clone(), digest);
    }
    Ok(digests)
}

/// Those of the step. GitHub's own registry takes the job's token.
fn credentials(step: &JobStep<'_>, recipe: &Recipe) -> Option<RegistryCredentials> {
    let inputs = &step.inputs;
    let ghcr = recipe.image.as_ref().is_some_and(|image| image.registry() == "ghcr.io");
    let password = inputs.registry_password.as_ref().or_else(|| inputs.github_token.as_ref().filter(|_| ghcr))?;
    let username = inputs.registry_username.clone().unwrap_or_else(|| step.runner.actor.clone());
    Some(RegistryCredentials { username, password: password.clone() })
}

fn tell(step: &JobStep<'_>, releases: &BTreeMap<AppName, Release>) -> Result<(), CommandError> {
    let numbers = releases.iter().map(|(app, release)| (app.clone(), release.number)).collect();
    let of_each = |value: &dyn Fn(&Release) -> String| match releases.iter().next() {
        Some((app, release)) if releases.len() == 1 && *app == AppName::unnamed() => value(release),
        _ => releases.iter().map(|(app, release)| format!("{app}={}", value(release))).collect::<Vec<_>>().join(" "),
    };
    let outputs = &step.runner.outputs;
    outputs.set(Output::Release, &deploy::numbers(&numbers))?;
    outputs.set(Output::Digest, &of_each(&|release| release.digest.to_string()))?;
    outputs.set(Output::Image, &of_each(&reference))?;
    outputs.set(Output::Status, "registered")
}

fn reference(release: &Release) -> String {
    match &release.image {
        Some(image) => format!("{image}@{}", release.digest),
        None => release.digest.to_string(),
    }
}
