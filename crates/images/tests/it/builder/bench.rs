//! A folder to build from, and a name for what is built. Both go with it, also when the test fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use windlass_core::config::DockerEndpoint;
use windlass_core::names::Digest;
use windlass_images::{BuildError, BuildEvent, BuildRequest, Builder};
use windlass_testing::docker_client::docker;
use windlass_testing::sample_app;

const SOCKET: &str = "/var/run/docker.sock";

/// What the Dockerfiles may run besides the sample app.
const TOOLS: [&str; 5] = ["bash", "cat", "rm", "sha256sum", "sleep"];

pub(crate) struct Bench {
    pub(crate) builder: Builder,
    name: String,
    context: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn open() -> Self {
        let builder = Builder::connect(&DockerEndpoint::Unix(SOCKET.into())).await;
        let builder = builder.expect("these tests need a Docker Engine on this machine");
        let name = format!("windlass-test-{}", uuid::Uuid::new_v4());
        Self { builder, name, context: tempfile::tempdir().unwrap() }
    }

    /// A name that no other test has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn context(&self) -> &Path {
        self.context.path()
    }

    /// The folder's `Dockerfile`, as `name:1`.
    pub(crate) fn request(&self) -> BuildRequest {
        BuildRequest {
            context: self.context().to_owned(),
            dockerfile: "Dockerfile".into(),
            name: format!("{}:1", self.name),
            ..BuildRequest::default()
        }
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        use std::io::Write as _;
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(content.as_ref()).unwrap();
    }

    /// As `app.tar`, to be unpacked at the image's root, with the program at `/app`.
    pub(crate) fn add_app(&self) {
        self.write(sample_app::FILE, sample_app::archive());
    }

    pub(crate) fn make_executable(&self, path: &str) {
        fs::set_permissions(self.context().join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// As `tools`, to be copied to the image's root: `/bin/bash` and what it needs.
    pub(crate) fn add_tools(&self) {
        let tools = self.context().join("tools");
        for tool in TOOLS {
            let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("there is no {tool}"));
            for library in libraries(found) {
                copy(&library, &tools.join(library.strip_prefix("/").unwrap()));
            }
            copy(found, &tools.join("bin").join(tool));
        }
    }

    /// Builds and gives what was heard.
    pub(crate) async fn build(&self, request: &BuildRequest) -> (Result<Digest, BuildError>, Heard) {
        let mut heard = Heard(Vec::new());
        let built = self.builder.build(request, &mut |event| heard.0.push(event)).await;
        (built, heard)
    }

    /// The image with all its layers.
    pub(crate) fn save(&self, image: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        docker(&["save", "--output", file.path().to_str().unwrap(), image]);
        fs::read(file.path()).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A panic may be under way: nothing in here may begin another one.
        let docker = |arguments: &[&str]| Command::new("docker").args(arguments).output().ok();
        let format = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}";
        let images = docker(&["image", "ls", "--digests", "--format", format]).map(|output| output.stdout);
        let images = String::from_utf8(images.unwrap_or_default()).unwrap_or_default();
        for (tagged, by_digest) in images.lines().filter_map(|image| image.split_once(' ')) {
            if tagged.contains(&self.name) {
                // One that lost its name to a later build has a digest where it was pushed.
                let name = if tagged.ends_with(":<none>") { by_digest } else { tagged };
                docker(&["image", "rm", "--force", name]);
            }
        }
    }
}

/// What a build told, in its order.
#[derive(Debug)]
pub(crate) struct Heard(Vec<BuildEvent>);

impl Heard {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|event| match event {
            BuildEvent::StepStarted { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// The number of the step whose name begins like this.
    pub(crate) fn step(&self, beginning: &str) -> u32 {
        let found = self.0.iter().find_map(|event| match event {
            BuildEvent::StepStarted { step, name } if name.starts_with(beginning) => Some(*step),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no step {beginning}: {self:#?}"))
    }

    pub(crate) fn log(&self, of: u32) -> Vec<&str> {
        let lines = self.0.iter().filter_map(|event| match event {
            BuildEvent::Log { step, line } if *step == of => Some(line.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// Whether the step was cached; `None` when it did not end well.
    pub(crate) fn done(&self, of: u32) -> Option<bool> {
        self.0.iter().find_map(|event| match event {
            BuildEvent::StepDone { step, cached, .. } if *step == of => Some(*cached),
            _ => None,
        })
    }

    /// Why the build went on without a cache.
    pub(crate) fn caches_lost(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|event| match event {
            BuildEvent::CacheLost { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    pub(crate) fn failed(&self, of: u32) -> bool {
        self.0.iter().any(|event| matches!(event, BuildEvent::StepFailed { step, .. } if *step == of))
    }
}

/// What a program of this machine is linked with, the linker included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let output = String::from_utf8(output.stdout).unwrap();
    let words = output.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}
