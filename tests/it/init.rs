//! `windlass init`: what a repository says of its app, and the files that are made of it.

mod monorepo;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use windlass_core::config::{HealthCheck, ProjectConfig, ProjectFile, ServerConfig};

const DEPLOY: &str = ".github/workflows/windlass-deploy.yml";
const ROLLBACK: &str = ".github/workflows/windlass-rollback.yml";

#[test]
fn a_dockerfile_says_where_the_app_listens_and_how_it_is_checked() {
    let curl = |url: &str| format!("FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD curl -f {url} || exit 1\n");
    let path = |path: &str| HealthCheck::Path(path.to_owned());
    let table: Vec<(&str, String, u16, HealthCheck)> = vec![
        ("plain", "FROM ruby\nEXPOSE 4000\n".into(), 4000, HealthCheck::Port),
        ("lower case, a protocol, a comment", "from ruby\n# EXPOSE 1\n  expose 8080/tcp\n".into(), 8080, HealthCheck::Port),
        ("the last one", "FROM ruby\nEXPOSE 80\nEXPOSE 8443 9000\n".into(), 8443, HealthCheck::Port),
        ("not UDP", "FROM ruby\nEXPOSE 53/udp 8053\nEXPOSE 54/UDP\n".into(), 8053, HealthCheck::Port),
        ("a range", "FROM ruby\nEXPOSE 7000-7010\n".into(), 7000, HealthCheck::Port),
        ("no port", "FROM ruby\nCMD [\"app\"]\n".into(), 3000, HealthCheck::Port),
        ("an argument", "FROM ruby\nARG PORT=5000\nEXPOSE $PORT\n".into(), 5000, HealthCheck::Port),
        ("an argument of the file", "ARG PORT=5001\nFROM ruby\nARG PORT\nEXPOSE ${PORT}/tcp\n".into(), 5001, HealthCheck::Port),
        ("an argument that the stage did not ask for", "ARG PORT=5001\nFROM ruby\nEXPOSE ${PORT:-5002}\n".into(), 5002, HealthCheck::Port),
        ("a variable, over an argument", "FROM ruby\nENV PORT=\"6000\" HOST=x\nARG PORT=1\nEXPOSE ${PORT}\n".into(), 6000, HealthCheck::Port),
        ("a variable, as it was once written", "FROM ruby\nENV PORT 6001\nEXPOSE $PORT\n".into(), 6001, HealthCheck::Port),
        ("a variable without a value", "FROM ruby\nEXPOSE $PORT\n".into(), 3000, HealthCheck::Port),
        ("only the last stage", "FROM node AS build\nEXPOSE 9229\nFROM nginx\nEXPOSE 8080\n".into(), 8080, HealthCheck::Port),
        ("what its base has", "FROM ruby AS base\nENV P=8081\nEXPOSE $P\nFROM ruby AS test\nEXPOSE 1\nFROM Base\nCMD x\n".into(), 8081, HealthCheck::Port),
        ("continued lines", "FROM ruby\nEXPOSE \\\n  # why\n\n  3001 \\\n  3002\n".into(), 3001, HealthCheck::Port),
        ("another escape", "# syntax=docker/dockerfile:1\n# escape=`\nFROM ruby\nENV A=\\\nEXPOSE `\n 3003\n".into(), 3003, HealthCheck::Port),
        ("what a script says", "FROM ruby\nEXPOSE 3004\nRUN <<-\"END\" cat >x <<OTHER\nEXPOSE 1\n\tEND\nEXPOSE 2\nOTHER\n".into(), 3004, HealthCheck::Port),
        ("for images built from it", "FROM ruby\nEXPOSE 3005\nONBUILD EXPOSE 1\n".into(), 3005, HealthCheck::Port),
        ("Windows' line ends", "FROM ruby\r\nEXPOSE \\\r\n 3006\r\n".into(), 3006, HealthCheck::Port),
        ("curl", curl("http://localhost:3000/up"), 3000, path("/up")),
        ("curl, in short", curl("127.0.0.1:3000/up?full=1"), 3000, path("/up?full=1")),
        ("curl, no path", curl("http://[::1]:3000"), 3000, path("/")),
        ("curl, by PORT", curl("http://localhost:${PORT:-80}/up"), 3000, path("/up")),
        ("curl, another port", curl("http://localhost:9000/up"), 3000, HealthCheck::Docker),
        ("curl, the usual port", curl("http://localhost/up"), 3000, HealthCheck::Docker),
        ("curl, another host", curl("http://database:3000/up"), 3000, HealthCheck::Docker),
        ("curl, TLS", curl("https://localhost:3000/up"), 3000, HealthCheck::Docker),
        ("curl, a header", curl("-H 'Host: x' http://localhost:3000/up"), 3000, HealthCheck::Docker),
        ("curl, and more", curl("http://localhost:3000/up | grep ok"), 3000, HealthCheck::Docker),
        ("curl that any answer pleases", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD curl http://localhost:3000/up\n".into(), 3000, HealthCheck::Docker),
        ("options", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK --interval=5s --timeout=3s \\\n  CMD /usr/bin/curl -fsS -o /dev/null --max-time 2 http://localhost:3000/up >/dev/null 2>&1 || exit 1\n".into(), 3000, path("/up")),
        ("wget", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD wget --no-verbose --tries=1 --spider http://localhost:3000/ready || exit 1\n".into(), 3000, path("/ready")),
        ("wget, a list", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD [\"wget\", \"-qO-\", \"http://127.0.0.1:3000/ready\"]\n".into(), 3000, path("/ready")),
        ("a shell, a list", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD [\"/bin/sh\", \"-c\", \"curl -f http://localhost:$PORT/up || exit 1\"]\n".into(), 3000, path("/up")),
        ("the health check's port", "FROM ruby\nHEALTHCHECK CMD curl --fail http://localhost:8080/up\n".into(), 8080, path("/up")),
        ("a command of its own", "FROM ruby\nEXPOSE 3000\nHEALTHCHECK CMD bin/alive\n".into(), 3000, HealthCheck::Docker),
        ("none", "FROM ruby AS base\nEXPOSE 3000\nHEALTHCHECK CMD bin/alive\nFROM base\nHEALTHCHECK NONE\n".into(), 3000, HealthCheck::Port),
    ];
    for (what, dockerfile, port, health) in table {
        let repository = Repository::of("acme/shop").file("Dockerfile", &dockerfile);
        repository.init(&[]).ends(0);
        let config = repository.project();
        let role = config.apps.values().next().unwrap().roles.values().next().unwrap();
        assert_eq!((role.port, &role.health.check), (Some(port), &health), "{what}:\n{dockerfile}");
    }
}

#[test]
fn a_repository_gets_its_file_and_two_workflows_with_its_own_values() {
    let repository = Repository::of("Acme/Shop").file("Dockerfile", "FROM ruby\nEXPOSE 4000\n");
    repository.git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    repository.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    let ended = repository.init(&["--stage", "staging", "--server", "https://deploy.example.com/"]).ends(0);
    assert!(ended.stderr.is_empty(), "{ended:#?}");
    let config = repository.project();
    let app = &config.apps[&"default".parse().unwrap()];
    assert_eq!(app.image.as_ref().unwrap().as_str(), "ghcr.io/acme/shop");
    assert_eq!((app.build.context.as_str(), &app.build.target), (".", &None));
    let stages = ProjectFile::parse("windlass.toml", &repository.read("windlass.toml")).unwrap();
    assert_eq!(stages.stages().map(|stage| stage.as_str()).collect::<Vec<_>>(), ["staging"]);

    let deploy = repository.yaml(DEPLOY);
    assert_eq!(deploy["on"]["push"]["branches"], serde_json::json!(["trunk"]));
    let with = &deploy["jobs"]["release"]["steps"][1]["with"];
    let expected = serde_json::json!({
        "command": "release", "server": "${{ vars.WINDLASS_SERVER }}", "stage": "staging",
        "cache-from": "type=gha", "cache-to": "type=gha,mode=max",
    });
    assert_eq!(*with, expected);
    assert!(!repository.read(DEPLOY).contains("To use it"), "that is for whoever copies it by hand");
    let rollback = repository.yaml(ROLLBACK);
    let inputs = &rollback["on"]["workflow_dispatch"]["inputs"];
    assert_eq!(inputs["stage"]["options"], serde_json::json!(["staging"]));
    assert_eq!(inputs.as_object().unwrap().len(), 3);

    for said in ["wrote windlass.toml", DEPLOY, ROLLBACK, "--body https://deploy.example.com\n", "branch = \"trunk\""] {
        assert!(ended.stdout.contains(said), "no `{said}` in {}", ended.stdout);
    }
}

#[test]
fn the_server_s_part_is_valid_there() {
    let repository = Repository::of("acme/My_shop.rb").file("Dockerfile", "FROM ruby\n");
    let report = repository.init(&["--json", "--branch", "a\"b"]).ends(0).json();
    let lines: Vec<&str> =
        report["next"][0]["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let server = format!(
        "schema = 1\npublic-url = \"https://deploy.example.com\"\n[github]\napp-id = 1\nprivate-key = {{ file = \"/a\" }}\n\
         webhook-secrets = [{{ file = \"/b\" }}]\n[hosts.a]\ndocker = \"unix:///var/run/docker.sock\"\n{}\n",
        lines.join("\n")
    );
    let config = ServerConfig::parse("windlass-server.toml", &server).unwrap_or_else(|error| panic!("{error}"));
    let stage = &config.projects[&"acme/My_shop.rb".parse().unwrap()].stages[&"production".parse().unwrap()];
    assert_eq!(stage.branch, "a\"b");
    let files: Vec<&str> =
        report["files"].as_array().unwrap().iter().map(|file| file["state"].as_str().unwrap()).collect();
    assert_eq!(files, ["new", "new", "new"]);
    assert_eq!(report["notes"].as_array().unwrap().len(), 1, "no port is exposed: {report:#}");
}

#[test]
fn what_is_there_already_is_not_written_over() {
    let repository = Repository::of("acme/shop").file("Dockerfile", "FROM ruby\nEXPOSE 4000\n");
    repository.init(&[]).ends(0);
    let again = repository.init(&[]).ends(0);
    assert!(again.stdout.contains("kept windlass.toml"), "{again:#?}");

    let own = "schema = 1\nport = 1\n";
    let repository = repository.file("windlass.toml", own);
    fs::remove_file(repository.path(DEPLOY)).unwrap();
    let refused = repository.init(&[]).ends(2);
    assert!(refused.stderr.contains("windlass.toml would be written over"), "{refused:#?}");
    assert!(refused.stderr.contains("--force"), "{refused:#?}");
    assert!(!refused.stderr.contains(ROLLBACK), "that one is the same: {refused:#?}");
    assert_eq!(repository.read("windlass.toml"), own);
    assert!(!repository.path(DEPLOY).exists(), "nothing is half written");

    let shown = repository.init(&["--dry-run"]).ends(0);
    assert!(shown.stdout.contains("port = 4000") && shown.stdout.contains("another one is there"), "{shown:#?}");
    assert_eq!(repository.read("windlass.toml"), own);
    repository.init(&["--force"]).ends(0);
    assert!(repository.read("windlass.toml").contains("port = 4000"));
    assert!(repository.path(DEPLOY).exists());
}

#[test]
fn nothing_is_written_when_one_file_cannot_be() {
    let repository =
        Repository::of("acme/shop").file("Dockerfile", "FROM ruby\n").file(".github/workflows", "a file\n");
    let failed = repository.init(&[]);
    assert_ne!(failed.status, Some(0), "{failed:#?}");
    let left: Vec<String> = fs::read_dir(repository.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["Dockerfile", ".git", ".github"].contains(&name.as_str()))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn several_dockerfiles_are_several_apps() {
    let repository = Repository::of("acme/shop")
        .file("services/api/Dockerfile", "FROM ruby\nEXPOSE 4000\nHEALTHCHECK CMD bin/alive\n")
        .file("web/Dockerfile", "FROM node\nEXPOSE 3000\n")
        .file("old/web/Dockerfile", "FROM node\nEXPOSE 3001\n")
        .file("node_modules/x/Dockerfile", "FROM node\n")
        .file(".devcontainer/Dockerfile", "FROM node\n");
    repository.init(&[]).ends(0);
    let config = repository.project();
    let apps: BTreeMap<String, (String, String)> = config
        .apps
        .iter()
        .map(|(name, app)| (name.to_string(), (app.build.context.clone(), app.image.clone().unwrap().to_string())))
        .collect();
    let expected = [
        ("api", "services/api", "ghcr.io/acme/shop-api"),
        ("old-web", "old/web", "ghcr.io/acme/shop-old-web"),
        ("web", "web", "ghcr.io/acme/shop-web"),
    ];
    let expected = expected.map(|(name, folder, image)| (name.to_owned(), (folder.to_owned(), image.to_owned())));
    assert_eq!(apps, BTreeMap::from(expected));
    let deploy = repository.yaml(DEPLOY);
    let job = &deploy["jobs"]["release"];
    assert_eq!(job["strategy"]["matrix"]["app"].as_array().unwrap().len(), 3);
    assert_eq!(job["steps"][1]["with"]["app"], "${{ matrix.app }}");
    let rollback = repository.yaml(ROLLBACK);
    assert_eq!(rollback["on"]["workflow_dispatch"]["inputs"]["app"]["options"].as_array().unwrap().len(), 3);
    assert_eq!(rollback["jobs"]["rollback"]["steps"][0]["with"]["app"], "${{ inputs.app }}");
}

#[test]
fn one_dockerfile_in_a_folder_is_the_app_s_and_one_at_the_root_wins() {
    let repository = Repository::of("acme/shop").file("app/Dockerfile", "FROM ruby\nEXPOSE 4000\n");
    repository.init(&[]).ends(0);
    let config = repository.project();
    assert_eq!(config.apps[&"default".parse().unwrap()].build.context, "app");

    let repository = repository.file("Dockerfile", "FROM ruby\nEXPOSE 5000\n");
    let ended = repository.init(&["--force"]).ends(0);
    assert!(ended.stderr.contains("app/Dockerfile is left out"), "{ended:#?}");
    let config = repository.project();
    let app = &config.apps[&"default".parse().unwrap()];
    assert_eq!((app.build.context.as_str(), app.primary().unwrap().1.port), (".", Some(5000)));
}

#[test]
fn another_registry_asks_for_a_login_and_no_right_at_ghcr() {
    let repository =
        Repository::of("acme/shop").file("Dockerfile", "FROM ruby AS run\nEXPOSE 4000\nFROM run AS test\n");
    let ended = repository.init(&["--image", "registry.example.com/shop", "--target", "run"]).ends(0);
    let config = repository.project();
    let app = &config.apps[&"default".parse().unwrap()];
    assert_eq!(app.image.as_ref().unwrap().as_str(), "registry.example.com/shop");
    assert_eq!(app.build.target.as_deref(), Some("run"));
    let job = repository.yaml(DEPLOY)["jobs"]["release"].clone();
    assert_eq!(job["permissions"], serde_json::json!({ "contents": "read", "id-token": "write" }));
    assert_eq!(job["steps"][1]["with"]["registry-password"], "${{ secrets.REGISTRY_PASSWORD }}");
    assert!(ended.stdout.contains("gh secret set REGISTRY_PASSWORD"), "{ended:#?}");
}

#[test]
fn what_cannot_be_prepared_is_said() {
    let no_git = Repository { folder: tempfile::tempdir().unwrap() }.file("Dockerfile", "FROM ruby\n");
    let repository = || Repository::of("acme/shop");
    let no_remote = repository().file("Dockerfile", "FROM ruby\n");
    no_remote.git(&["remote", "remove", "origin"]);
    let cases = [
        (no_git, &[][..], "not in a Git repository"),
        (no_remote, &[], "no project is given"),
        (repository(), &[], "there is no Dockerfile"),
        (repository().file("Dockerfile", "RUN x\n"), &[], "Dockerfile: there is no `FROM` in it"),
        (
            repository().file("Dockerfile", "FROM ruby AS run\n"),
            &["--target", "web"],
            "it has no stage `web`; it has run",
        ),
        (repository().file("Dockerfile", "FROM ruby\n"), &["--server", "http://deploy.example.com"], "plain http"),
    ];
    for (repository, arguments, message) in cases {
        let ended = repository.init(arguments).ends(2);
        assert!(ended.stderr.contains(message), "no `{message}` in {ended:#?}");
        assert!(ended.stderr.contains("hint:"), "{ended:#?}");
        assert!(!repository.path("windlass.toml").exists());
    }
}

#[test]
fn it_works_from_a_folder_within_and_before_the_first_commit() {
    let repository = Repository::of("acme/shop").file("Dockerfile", "FROM ruby\n").file("docs/x", "");
    repository.git(&["checkout", "--quiet", "--orphan", "first"]);
    let ended = repository.run(&["init"], "docs").ends(0);
    assert!(repository.path("windlass.toml").exists());
    assert!(ended.stdout.contains("branch = \"first\""), "{ended:#?}");
}

/// A repository of a user.
struct Repository {
    folder: TempDir,
}

/// How the program ended and what it printed.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Repository {
    fn of(project: &str) -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.git(&["remote", "add", "origin", &format!("git@github.com:{project}.git")]);
        repository.git(&["commit", "--quiet", "--allow-empty", "--message", "One"]);
        repository
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).unwrap();
        self
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn init(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["init"], arguments].concat(), ".")
    }

    fn run(&self, arguments: &[&str], folder: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(arguments).current_dir(self.path(folder)).stdin(Stdio::null());
        command.env_remove("WINDLASS_SERVER").env("GIT_CEILING_DIRECTORIES", self.folder.path());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn yaml(&self, name: &str) -> Value {
        serde_saphyr::from_str(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn project(&self) -> ProjectConfig {
        let file = ProjectFile::parse("windlass.toml", &self.read("windlass.toml"));
        file.unwrap_or_else(|error| panic!("{error}")).resolve(&"production".parse().unwrap())
    }
}

impl Ended {
    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
