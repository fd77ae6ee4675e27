//! From a repository with a Dockerfile to releases, deployments and a rollback, by the README's quick start: `windlass
//! init`, and the workflows as GitHub runs them.

use std::path::Path;

use windlass_core::deployment::DeploymentState;
use windlass_core::names::DeploymentId;
use windlass_testing::github::{CheckState, Conclusion, NewJob};
use windlass_testing::registry::{Access, Registry};
use windlass_testing::sample_app;

use crate::runner::workflow::{self, Context};
use crate::runner::{Finished, Job};
use crate::world::{HOST, PATIENCE, PROJECT, World, write_bytes};

#[tokio::test]
async fn init_a_release_a_deployment_by_merge_and_a_rollback_by_dispatch() {
    let world = World::start().await;
    let registry = Registry::start(Access::Open).await;
    world.pulls_from(&registry);
    let mut job = Job::new(&world);
    let folder = job.workspace().to_owned();
    write_program(&folder);
    let dockerfile = format!("{}EXPOSE 3000\n", sample_app::dockerfile(&[]));
    job.leave("Dockerfile", &dockerfile);
    job.leave("README.md", "# A shop\n");

    // 1. `windlass init` writes the file and the workflows; a person adds the address.
    let image = format!("{}/{PROJECT}", registry.address());
    let init = world
        .windlass(&["init", "--project", PROJECT, "--image", &image, "--stage", "production"])
        .env_remove("WINDLASS_STAGE")
        .env_remove("WINDLASS_TOKEN")
        .current_dir(&folder)
        .output()
        .await
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let toml = std::fs::read_to_string(folder.join("windlass.toml")).unwrap();
    let toml =
        toml.replace("# url = \"https://shop.example.com\"", &format!("url = \"http://{HOST}\"\nwatch = \"500ms\""));
    let deploy = read(&folder, ".github/workflows/windlass-deploy.yml");
    let rollback = read(&folder, ".github/workflows/windlass-rollback.yml");

    // 2. It is merged: the workflow builds and registers, the service deploys once the job has ended.
    let first = merge(&mut job, &world, &toml);
    let context = Context::from([("vars.WINDLASS_SERVER".to_owned(), format!("http://{}", world.service_address))]);
    let (again, steps) = in_job(job, &deploy, &world, NewJob::on_push(&first), context.clone()).await;
    assert_eq!(steps[0].outputs["release"], "1", "{}", steps[0].raw_log);
    world.repository.until_status(&first, "success", PATIENCE).await.unwrap();
    assert!(world.answer().await.starts_with("release 1 "), "{}", world.answer().await);

    // 3. The next merge, by the workflow that waits and is called by others.
    let mut job = again;
    let second = merge(&mut job, &world, &format!("{toml}\n# changed\n"));
    world.repository.add_check_run(&second, "test", CheckState::Completed(Conclusion::Success));
    let auto =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows/auto-deploy.yml")).unwrap();
    let mut inputs = context.clone();
    for (name, value) in
        [("server", context["vars.WINDLASS_SERVER"].as_str()), ("stage", "production"), ("timeout", "1m")]
    {
        inputs.insert(format!("inputs.{name}"), value.to_owned());
    }
    let (job, steps) = in_job(job, &auto, &world, NewJob::on_push(&second), inputs).await;
    let last = steps.last().unwrap();
    assert_eq!(last.exit_code, Some(0), "{}", last.raw_log);
    assert_eq!((last.outputs["release"].as_str(), last.outputs["status"].as_str()), ("2", "succeeded"));
    assert!(world.answer().await.starts_with("release 2 "), "{}", world.answer().await);
    let of_second = world.deployments().await.into_iter().filter(|it| it.commit.as_str() == second).count();
    assert_eq!(of_second, 1, "the merge and the job have one deployment between them");

    // 4. A person goes back by the form.
    let mut form = context;
    for (name, value) in [("stage", "production"), ("release", "previous"), ("reason", "2 loses orders")] {
        form.insert(format!("inputs.{name}"), value.to_owned());
    }
    let (_job, steps) = in_job(job, &rollback, &world, NewJob::dispatched(&second), form).await;
    let back = &steps[0];
    assert_eq!(back.exit_code, Some(0), "{}", back.raw_log);
    assert_eq!((back.outputs["release"].as_str(), back.outputs["status"].as_str()), ("1", "succeeded"));
    assert!(world.answer().await.starts_with("release 1 "), "{}", world.answer().await);
    let id: DeploymentId = back.outputs["deployment-id"].parse().unwrap();
    let rolled_back = world.until_ended(id.as_str()).await;
    assert_eq!(rolled_back.state, DeploymentState::Succeeded);
    assert!(world.stage().await.hold.is_some(), "a rollback leaves a hold");
}

/// Commits what is in the folder, and merges it on GitHub as that commit.
fn merge(job: &mut Job, world: &World, toml: &str) -> String {
    let before = world.repository.head("main");
    let sha = job.commit_only("Change", &[("windlass.toml", toml)]);
    let branch = format!("change-{}", &sha[..7]);
    assert_ne!(before, sha);
    world.repository.push(&branch, "Change");
    let number = world.repository.open_pull_request(&branch);
    world.repository.merge_pull_request_as(number, &sha);
    sha
}

/// Runs a workflow's job; the job itself comes back, for the next.
async fn in_job(job: Job, workflow: &str, world: &World, started: NewJob, context: Context) -> (Job, Vec<Finished>) {
    workflow::run(workflow, job, &world.repository, started, context).await
}

fn write_program(folder: &Path) {
    write_bytes(&folder.join(sample_app::FILE), sample_app::archive());
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap()
}
