//! A runner of GitHub Actions, as far as a step that runs a container action sees one: the container it is started in,
//! the variables and files it finds, how its log, its files and its end are read (actions/runner,
//! `ContainerActionHandler`, `ActionCommandManager`, `FileCommandManager`).

mod action_file;
mod checkout;
mod commands;
mod container;
mod file_commands;
pub(crate) mod workflow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use uuid::Uuid;
use windlass_testing::github::{FakeJob, FakeRepository};

use crate::world::{PROJECT, World, write};
use action_file::ActionFile;
use checkout::Checkout;
use commands::Log;
pub(crate) use commands::{Annotation, Level};
use container::Container;
use file_commands::FileCommands;

/// What the job's token is, unless a test says so: `${{ github.token }}`.
pub(crate) const JOB_TOKEN: &str = "ghs_the_token_of_a_job_0123456789";

/// How long a step may say nothing before a test gives up on it: longer than any build takes for one line.
const SILENCE: Duration = Duration::from_secs(180);

/// One job with one step, `uses: windlass`. Everything is as after a push to `main`, until the test says otherwise.
/// It can run several times, as a job does that is run again.
pub(crate) struct Job {
    folder: TempDir,
    checkout: Checkout,
    repository: FakeRepository,
    image: String,
    docker: PathBuf,
    entrypoint: Option<String>,
    args: Option<Vec<String>>,
    inputs: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    secrets: Vec<String>,
    event: Value,
}

/// What GitHub has of a step that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None`: the runner had to kill it.
    pub(crate) exit_code: Option<i32>,
    /// What people see: without most commands, and with `***` in the place of what was masked by then.
    pub(crate) log: String,
    /// What was written to stdout and stderr, as it was.
    pub(crate) raw_log: String,
    pub(crate) annotations: Vec<Annotation>,
    /// What the runner masks at the end, its own secrets included.
    pub(crate) masks: Vec<String>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) summary: String,
}

/// A step that runs. Dropped, its container goes.
pub(crate) struct Running<'a> {
    job: &'a Job,
    container: Container,
    files: FileCommands,
    log: Log,
}

impl Job {
    /// A job of the world's repository. Its input `server` is the world's service.
    pub(crate) fn new(world: &World) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-runner-").tempdir().unwrap();
        for name in ["_github_home", "_github_workflow", "_runner_file_commands"] {
            std::fs::create_dir_all(folder.path().join("_temp").join(name)).unwrap();
        }
        let checkout = Checkout::new(&folder.path().join("shop/shop"), PROJECT);
        let event = json!({ "ref": "refs/heads/main", "repository": { "full_name": PROJECT } });
        let mut job = Self {
            folder,
            checkout,
            repository: world.repository.clone(),
            image: String::new(),
            docker: "/var/run/docker.sock".into(),
            entrypoint: None,
            args: None,
            inputs: BTreeMap::new(),
            variables: github_variables(world.repository.id(), &world.github.url()),
            secrets: vec![JOB_TOKEN.to_owned()],
            event,
        };
        job.commit("main", "Begin", &[("README.md", "# A shop\n")]);
        job.with("server", &format!("http://{}", world.service_address))
    }

    /// Commits files to a branch and pushes it: it is checked out here, and GitHub tells the service. Gives its SHA,
    /// which is the job's from now on.
    pub(crate) fn commit(&mut self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let sha = self.checkout.commit(message, files);
        self.repository.push_commit(branch, &sha, message);
        self.variable("GITHUB_SHA", &sha);
        self.variable("GITHUB_REF", &format!("refs/heads/{branch}"));
        self.variable("GITHUB_REF_NAME", branch);
        sha
    }

    /// Commits files without pushing: what becomes of the commit on GitHub is the test's to say.
    pub(crate) fn commit_only(&mut self, message: &str, files: &[(&str, &str)]) -> String {
        let sha = self.checkout.commit(message, files);
        self.variable("GITHUB_SHA", &sha);
        sha
    }

    /// Without this input.
    pub(crate) fn without(mut self, input: &str) -> Self {
        self.inputs.remove(input);
        self
    }

    /// As the next step begins: with no inputs.
    pub(crate) fn without_inputs(mut self) -> Self {
        self.inputs.clear();
        self
    }

    /// Writes a file that nobody has committed.
    pub(crate) fn leave(&self, path: &str, content: &str) {
        self.checkout.leave(path, content);
    }

    /// What is checked out, on this machine.
    pub(crate) fn workspace(&self) -> &Path {
        self.checkout.folder()
    }

    /// An input, `with:`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// An input from `${{ secrets… }}`, which the runner masks from the beginning.
    pub(crate) fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self.with(name, value)
    }

    /// A variable, `env:`, or one of GitHub's own with another value: `GITHUB_REF`, `GITHUB_RUN_ATTEMPT`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variable(name, value);
        self
    }

    /// What happened, with GitHub's payload.
    pub(crate) fn event(mut self, name: &str, payload: Value) -> Self {
        self.variable("GITHUB_EVENT_NAME", name);
        self.event = payload;
        self
    }

    /// `permissions: id-token: write`: it may ask for a token that says it is this job of GitHub's.
    pub(crate) fn may_sign_in(mut self, job: &FakeJob) -> Self {
        let token = job.token_request_token();
        self.secrets.push(token.clone());
        self.env("ACTIONS_ID_TOKEN_REQUEST_URL", &job.token_request_url())
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &token)
            .env("GITHUB_RUN_ID", &job.suite().to_string())
    }

    /// On a runner whose Docker Engine does not answer.
    pub(crate) fn without_docker(mut self) -> Self {
        self.docker = self.folder.path().join("docker.sock");
        write(&self.docker, "");
        self
    }

    /// Another image than the action's.
    pub(crate) fn image(mut self, image: &str) -> Self {
        self.image = image.to_owned();
        self
    }

    /// Instead of the image's own, `with.entrypoint` and `with.args`.
    pub(crate) fn runs(mut self, entrypoint: &str, args: &[&str]) -> Self {
        self.entrypoint = Some(entrypoint.to_owned());
        self.args = Some(args.iter().map(|&arg| arg.to_owned()).collect());
        self
    }

    /// Runs the step to its end.
    pub(crate) async fn run(&self) -> Finished {
        self.start().finish().await
    }

    /// Starts the step.
    pub(crate) fn start(&self) -> Running<'_> {
        let temp = self.folder.path().join("_temp");
        write(&temp.join("_github_workflow/event.json"), &self.event.to_string());
        let files = FileCommands::create(&temp.join("_runner_file_commands"));
        let action = ActionFile::read();
        let mut variables = action.inputs(&self.inputs, JOB_TOKEN);
        variables.extend(action.environment());
        variables.extend(self.variables.clone());
        variables.extend(files.variables("/github/file_commands"));
        let volumes = [
            (self.docker.clone(), "/var/run/docker.sock"),
            (temp.clone(), "/github/runner_temp"),
            (temp.join("_github_home"), "/github/home"),
            (temp.join("_github_workflow"), "/github/workflow"),
            (temp.join("_runner_file_commands"), "/github/file_commands"),
            (self.checkout.folder().to_owned(), "/github/workspace"),
        ];
        let image = if self.image.is_empty() { action_image() } else { &self.image };
        let entrypoint = action.entrypoint().or(self.entrypoint.as_deref());
        let args = action.args().or(self.args.as_deref()).unwrap_or_default();
        let container = Container::run(image, entrypoint, args, &variables, &volumes);
        Running { job: self, container, files, log: Log::hiding(&self.secrets) }
    }

    fn variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }
}

impl Running<'_> {
    /// Reads on until the raw log has a line with these words.
    pub(crate) async fn until_logged(&mut self, words: &str) {
        while let Some(line) = self.next_line().await {
            if line.contains(words) {
                return;
            }
        }
        panic!("the step has ended without `{words}`:\n{}", self.log.raw());
    }

    /// Waits for the end.
    pub(crate) async fn finish(mut self) -> Finished {
        while self.next_line().await.is_some() {}
        let exit_code = self.container.exit_code().await;
        self.read_what_is_left(exit_code)
    }

    /// Cancels the job, as somebody does on GitHub, and waits for the end.
    pub(crate) async fn cancel(mut self) -> Finished {
        let exit_code = self.container.cancel().await;
        while self.next_line().await.is_some() {}
        self.read_what_is_left(exit_code)
    }

    async fn next_line(&mut self) -> Option<String> {
        let Ok(line) = timeout(SILENCE, self.container.next_line()).await else {
            panic!("the step says nothing any more:\n{}", self.log.raw());
        };
        if let Some(line) = &line {
            self.log.read(line);
        }
        line
    }

    fn read_what_is_left(self, exit_code: Option<i32>) -> Finished {
        let Self { job, files, mut log, .. } = self;
        assert_eq!(job.checkout.files_of_root(), Vec::<PathBuf>::new(), "these files break the next job's checkout");
        let summary = files.summary(&mut log);
        let mut outputs = log.outputs().clone();
        outputs.extend(files.outputs());
        Finished {
            exit_code,
            log: log.shown(),
            raw_log: log.raw(),
            annotations: log.annotations().to_vec(),
            masks: log.masks().to_vec(),
            outputs,
            summary,
        }
    }
}

/// The action's image: what `.ci/test` has built, else what `.ci/action-image` builds now.
pub(crate) fn action_image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        if let Some(image) = std::env::var_os("WINDLASS_ACTION_IMAGE") {
            return image.into_string().unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/action-image");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the action's image was not built");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

/// What a runner tells every step, in the container's own paths.
fn github_variables(repository_id: u64, api: &str) -> BTreeMap<String, String> {
    let (owner, _) = PROJECT.split_once('/').unwrap();
    let workflow = format!("{PROJECT}/.github/workflows/deploy.yml@refs/heads/main");
    [
        ("ACTIONS_RUNTIME_URL", "https://pipelines.actions.example.com/".to_owned()),
        ("ACTIONS_RUNTIME_TOKEN", Uuid::new_v4().to_string()),
        ("ACTIONS_RESULTS_URL", "https://results.actions.example.com/".to_owned()),
        ("GITHUB_ACTION", "__windlass".to_owned()),
        ("GITHUB_ACTION_REF", "v1".to_owned()),
        ("GITHUB_ACTION_REPOSITORY", "windlass-deploy/windlass".to_owned()),
        ("GITHUB_ACTOR", "octocat".to_owned()),
        ("GITHUB_ACTOR_ID", "583231".to_owned()),
        ("GITHUB_API_URL", api.to_owned()),
        ("GITHUB_BASE_REF", String::new()),
        ("GITHUB_EVENT_NAME", "push".to_owned()),
        ("GITHUB_EVENT_PATH", "/github/workflow/event.json".to_owned()),
        ("GITHUB_GRAPHQL_URL", format!("{api}/graphql")),
        ("GITHUB_HEAD_REF", String::new()),
        ("GITHUB_JOB", "deploy".to_owned()),
        ("GITHUB_REF_PROTECTED", "true".to_owned()),
        ("GITHUB_REF_TYPE", "branch".to_owned()),
        ("GITHUB_REPOSITORY", PROJECT.to_owned()),
        ("GITHUB_REPOSITORY_ID", repository_id.to_string()),
        ("GITHUB_REPOSITORY_OWNER", owner.to_owned()),
        ("GITHUB_REPOSITORY_OWNER_ID", "9919".to_owned()),
        ("GITHUB_RETENTION_DAYS", "90".to_owned()),
        ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
        ("GITHUB_RUN_ID", "9000000001".to_owned()),
        ("GITHUB_RUN_NUMBER", "42".to_owned()),
        ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
        ("GITHUB_TRIGGERING_ACTOR", "octocat".to_owned()),
        ("GITHUB_WORKFLOW", "Deploy".to_owned()),
        ("GITHUB_WORKFLOW_REF", workflow),
        ("GITHUB_WORKSPACE", "/github/workspace".to_owned()),
        ("HOME", "/github/home".to_owned()),
        ("RUNNER_ARCH", "X64".to_owned()),
        ("RUNNER_ENVIRONMENT", "github-hosted".to_owned()),
        ("RUNNER_NAME", "GitHub Actions 1".to_owned()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", "/github/runner_temp".to_owned()),
        ("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use windlass_core::names::Digest;
    use windlass_testing::github::NewJob;

    use super::*;

    /// A job of the sample app, which does what its words say.
    fn sample_job(world: &World, image: &Digest, words: &[&str]) -> Job {
        Job::new(world).image(image.as_str()).runs("/app", words)
    }

    #[test]
    fn what_the_tests_run_is_what_the_runner_builds() {
        let dockerfile = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap();
        let last = dockerfile.rfind("\nFROM ").map(|start| dockerfile[start..].trim());
        assert_eq!(last, Some("FROM action-files AS action"), "the runner builds the last stage");
    }

    #[test]
    fn the_action_s_image_is_small_and_leaves_user_and_folder_to_the_runner() {
        let output = Command::new("docker").args(["image", "inspect", action_image()]).output().unwrap();
        let images: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let config = &images[0]["Config"];
        assert_eq!(config["Entrypoint"], json!(["/windlass", "action"]));
        assert_eq!((config["User"].as_str(), config["WorkingDir"].as_str()), (Some(""), Some("")));
        let size = images[0]["Size"].as_u64().unwrap();
        // Optimized, as in a release, it is about half of that.
        assert!(size < 48_000_000, "{size} bytes");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_program_runs_in_the_action_s_image() {
        let world = World::start().await;
        let finished = Job::new(&world).runs("/windlass", &["--version"]).run().await;
        assert_eq!(finished.log, format!("windlass {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(finished.exit_code, Some(0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_step_finds_inputs_variables_and_masks_as_github_gives_them() {
        let world = World::start().await;
        let image = world.build(&[]).await;
        let github = world.repository.start_job(NewJob::dispatched(&world.repository.head("main")));
        for (variable, shown) in [
            ("INPUT_IMAGE-NAME", "ghcr.io/acme/shop"),
            ("INPUT_COMMAND", "release"),
            ("INPUT_STAGE", ""),
            ("INPUT_REGISTRY-PASSWORD", "***"),
            ("INPUT_GITHUB-TOKEN", "***"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &github.token_request_url()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "***"),
            ("GITHUB_EVENT_NAME", "workflow_dispatch"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_WORKSPACE", "/github/workspace"),
            ("HOME", "/github/home"),
            ("CI", "true"),
        ] {
            let job = sample_job(&world, &image, &["print-env", variable])
                .event("workflow_dispatch", json!({ "inputs": {} }))
                .env("GITHUB_RUN_ATTEMPT", "2")
                .with("image-name", "ghcr.io/acme/shop")
                .with_secret("registry-password", "hunter2")
                .may_sign_in(&github);
            let finished = job.run().await;
            assert_eq!((finished.log, finished.exit_code), (format!("{shown}\n"), Some(0)), "{variable}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_action_says_as_an_annotation_why_it_cannot_begin() {
        let world = World::start().await;
        let finished = Job::new(&world).with("command", "status").with("server", "").run().await;
        assert_eq!(finished.exit_code, Some(2), "{}", finished.raw_log);
        let [annotation] = &finished.annotations[..] else { panic!("{:?}", finished.annotations) };
        assert_eq!((annotation.level, annotation.title.as_deref()), (Level::Error, Some("Windlass")));
        assert!(annotation.message.starts_with("the input `server` is empty\n"), "{}", annotation.message);
        assert_eq!(finished.outputs.get("reason").map(String::as_str), Some("input_invalid"));
        assert!(finished.summary.contains("server: https://deploy.example.com"), "{}", finished.summary);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancelled_step_is_interrupted_and_may_end_by_itself() {
        let world = World::start().await;
        let image = world.build(&[("PORT", "0")]).await;
        let job = sample_job(&world, &image, &["serve"]);
        let mut running = job.start();
        running.until_logged("listening on").await;
        let finished = running.cancel().await;
        assert_eq!(finished.exit_code, Some(0));
        assert!(finished.log.contains("\nstopping\n"), "{}", finished.log);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancelled_step_that_does_not_listen_is_killed() {
        let world = World::start().await;
        let image = world.build(&[("PORT", "0"), ("SAMPLE_IGNORE_SIGTERM", "1")]).await;
        let job = sample_job(&world, &image, &["serve"]);
        let mut running = job.start();
        running.until_logged("listening on").await;
        let finished = running.cancel().await;
        assert_eq!(finished.exit_code, None);
        assert_eq!(finished.log.matches("ignoring the signal to stop").count(), 2, "{}", finished.log);
    }
}
