//! A host that does not answer: what concerns the others works, and what is shown says which one is missing.

use std::time::{Duration, Instant};

use serde_json::Value;
use windlass_core::deployment::DeploymentState;
use windlass_testing::docker::{App, FakeEngine};
use windlass_testing::faults::{Fault, FaultProxy, Rule};
use windlass_testing::free_address;

use crate::operate::{done, json, run};
use crate::world::{PATIENCE, World, stage_path};

/// Whoever shows something answers within it.
const SOON: Duration = Duration::from_secs(2);

const CONFIG: &str = "schema = 1\nwatch = \"100ms\"\nhealth = { stable = \"100ms\" }\n";

/// Two hosts, each with a line that can be cut, and an app of which each runs a task.
struct Pair {
    world: World,
    a: Line,
    b: Line,
}

struct Line {
    proxy: FaultProxy,
    fake: FakeEngine,
}

impl Line {
    async fn open(name: &str, number: u8, digest: &str) -> Self {
        let fake = FakeEngine::start(name, number).await;
        fake.add_image(digest, App::healthy());
        Self { proxy: FaultProxy::start(fake.socket()), fake }
    }

    /// It takes connections and never answers.
    fn hang(&self) {
        self.fail(Fault::Hang);
    }

    fn fail(&self, answer: Fault) {
        self.proxy.fail(Rule { method: None, path_contains: String::new(), times: None, answer });
    }

    /// Its one task, by the beginning of Docker's id: on each host it has the same name.
    fn task(&self) -> String {
        self.fake.containers().remove(0).id[..12].to_owned()
    }
}

impl Pair {
    async fn start() -> Self {
        let digest = format!("sha256:{}", "cd".repeat(32));
        let (a, b) = (Line::open("a", 1, &digest).await, Line::open("b", 2, &digest).await);
        let (docker, networks) = (b.proxy.socket().display(), b.fake.networks());
        let more = format!("[hosts.b]\ndocker = \"unix://{docker}\"\nnetworks = \"{networks}\"\n");
        let world = World::start_on(a.proxy.socket(), Some(&a.fake.networks()), &more).await;
        world.release("first", &digest.parse().unwrap(), CONFIG).await;
        assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
        Self { world, a, b }
    }

    /// What the API answers, which it does soon.
    async fn soon(&self, method: reqwest::Method, path: &str) -> (u16, Value) {
        let begun = Instant::now();
        let answer = self.world.request(method, path).json(&serde_json::json!({})).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(begun.elapsed() < SOON, "{path} took {:?}", begun.elapsed());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.soon(reqwest::Method::GET, path).await
    }

    /// Runs a one-off task to its end.
    async fn run_task(&self) {
        done(&self.world, &["task", "run", "--", "echo", "hello"]).await;
    }
}

fn silent(shown: &Value) -> Vec<&str> {
    shown["silent_hosts"].as_array().into_iter().flatten().map(|host| host["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_107_what_is_known_of_a_host_that_hangs_is_shown_at_once_and_since_when() {
    let pair = Pair::start().await;
    let stage = stage_path();
    let (_, well) = pair.get(&stage).await;
    assert_eq!((well["apps"]["default"]["tasks"].as_array().unwrap().len(), silent(&well)), (2, vec![]), "{well}");

    pair.b.hang();
    let before = pair.b.proxy.seen().len();
    let looks = (0..20).map(|_| pair.get(&stage));
    for (status, shown) in futures_util::future::join_all(looks).await {
        assert_eq!((status, silent(&shown)), (200, vec!["b"]), "{shown}");
        let tasks = shown["apps"]["default"]["tasks"].as_array().unwrap();
        let of = |host: &str| tasks.iter().find(|task| task["host"] == host).unwrap();
        assert_eq!(of("b")["last_status"], "RUNNING", "{shown}");
        assert!(of("b")["as_of"].is_string() && of("a")["as_of"].is_null(), "{shown}");
        let warning = shown["warnings"][0].as_str().unwrap();
        assert!(
            warning.contains("host b has not answered since ") && warning.contains(" is shown as of "),
            "{warning}"
        );
    }
    let asked = pair.b.proxy.seen().len() - before;
    assert!(asked <= 5, "20 looks have asked a host that hangs {asked} times");

    let (_, hosts) = pair.get("/hosts").await;
    assert_eq!((&hosts[0]["engine"]["state"], &hosts[1]["engine"]["state"]), (&"answers".into(), &"silent".into()));
    assert!(hosts[1]["engine"]["since"].is_string(), "{hosts}");
    let (_, plan) = pair.soon(reqwest::Method::POST, &format!("{stage}/plan")).await;
    assert!(plan["warnings"][0].as_str().unwrap().contains("host b"), "{plan}");
    let (_, stale) = pair.get(&format!("{stage}/stale")).await;
    assert!(stale["warnings"][0].as_str().unwrap().contains("host b has not answered"), "{stale}");
    let (status, tasks) = pair.get(&format!("{stage}/tasks")).await;
    assert_eq!((status, tasks.as_array().unwrap().len()), (200, 2));
    let list = pair.world.request(reqwest::Method::GET, &format!("{stage}/tasks")).send().await.unwrap();
    assert_eq!(list.headers()["windlass-silent-hosts"], "b");

    let ps = run(&pair.world, &["app", "ps"]).await;
    let (table, said) = (String::from_utf8_lossy(&ps.stdout), String::from_utf8_lossy(&ps.stderr));
    assert!(table.contains("RUNNING as of ") && said.contains("host b has not answered since"), "{ps:?}");
    let status = done(&pair.world, &["status"]).await;
    assert!(status.contains("2/2") && status.contains("host b has not answered since"), "{status}");
    assert!(done(&pair.world, &["doctor"]).await.contains("b (its engine does not answer since"));

    pair.b.proxy.clear();
    let (_, well) = pair.get(&stage).await;
    assert_eq!(silent(&well), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_107_b_a_task_is_found_on_a_host_that_answers_and_else_it_is_said_which_does_not() {
    let pair = Pair::start().await;
    let (on_a, on_b) = (pair.a.task(), pair.b.task());
    for fault in [Fault::Hang, Fault::CutBefore] {
        pair.b.fail(fault);
        assert_eq!(pair.get(&format!("/tasks/{on_a}/log")).await.0, 200);
        let stop = pair.soon(reqwest::Method::POST, &format!("/tasks/{on_a}/stop")).await;
        assert_eq!((stop.0, &stop.1["code"]), (409, &"not_one_off".into()));
        for name in [on_b.as_str(), "nobody-knows-it"] {
            let (status, answer) = pair.get(&format!("/tasks/{name}/log")).await;
            assert_eq!((status, &answer["code"]), (503, &"host_unreachable".into()), "{answer}");
            assert!(answer["title"].as_str().unwrap().contains("host b has not answered since"), "{answer}");
        }
        // Of all tasks together: those that can be had.
        let logs = run(&pair.world, &["app", "logs"]).await;
        assert!(logs.status.success() && String::from_utf8_lossy(&logs.stderr).contains("host b"), "{logs:?}");
        pair.b.proxy.clear();
    }
    let (status, answer) = pair.get("/tasks/nobody-knows-it/log").await;
    assert_eq!((status, &answer["code"]), (404, &"task_unknown".into()), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_107_c_one_off_tasks_run_where_somebody_answers() {
    let pair = Pair::start().await;
    pair.a.hang();
    pair.run_task().await;
    pair.a.proxy.clear();
    pair.run_task().await;
    // Both have run one that ended, and each is away in turn.
    for (away, fault) in [(&pair.a, Fault::CutBefore), (&pair.b, Fault::Hang), (&pair.a, Fault::Hang)] {
        away.fail(fault);
        pair.run_task().await;
        away.proxy.clear();
    }
    pair.a.hang();
    pair.b.hang();
    let (status, answer) = {
        let begun = Instant::now();
        let body = serde_json::json!({ "command": ["echo"] });
        let path = format!("{}/tasks", stage_path());
        let answer = pair.world.request(reqwest::Method::POST, &path).json(&body).send().await.unwrap();
        assert!(begun.elapsed() < SOON);
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(status, 503, "{answer}");
    let title = answer["title"].as_str().unwrap();
    assert!(title.contains("host a has not") && title.contains("host b has not"), "{title}");
    pair.a.proxy.clear();
    pair.b.proxy.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_107_d_old_tasks_of_the_hosts_that_answer_are_retired() {
    let pair = Pair::start().await;
    let digest = format!("sha256:{}", "cd".repeat(32));
    let old = [pair.a.task(), pair.b.fake.containers().remove(0).name];
    let config = format!("{CONFIG}stop = {{ drain = \"0s\", grace = \"1s\" }}\n");
    pair.world.release("second", &digest.parse().unwrap(), &config).await;
    // The way of an old task of b is blocked, and nothing else.
    let stop = Rule {
        method: Some(reqwest::Method::POST),
        path_contains: format!("/containers/{}/", old[1]),
        times: None,
        answer: Fault::Hang,
    };
    pair.b.proxy.fail(stop);
    assert_eq!(pair.world.deploy("deploy", Some(2)).await.state, DeploymentState::Succeeded);
    pair.world.release("third", &digest.parse().unwrap(), &config).await;
    assert_eq!(pair.world.deploy("deploy", Some(3)).await.state, DeploymentState::Succeeded);
    // What the first release left on a is removed by the third's end, whatever b does.
    let gone = async {
        while pair.a.fake.containers().iter().any(|container| container.id.starts_with(&old[0])) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the old task on a is removed");
    pair.b.proxy.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_107_e_the_service_starts_without_a_host_and_says_so_and_the_host_joins() {
    let folder = tempfile::tempdir().unwrap();
    let (docker, control) = (folder.path().join("docker.sock"), folder.path().join("gateway.sock"));
    // It takes connections, and nobody looks at them.
    let silent_gateway = std::os::unix::net::UnixListener::bind(&control).unwrap();
    let silent_engine = std::os::unix::net::UnixListener::bind(folder.path().join("silent.sock")).unwrap();
    let fake = FakeEngine::start("a", 3).await;
    let more = format!(
        "[hosts.b]\ndocker = \"unix://{}\"\ngateway = {{ http = \"{}\", control = \"{}\" }}\n[hosts.c]\ndocker = \"unix://{}\"\n",
        docker.display(),
        free_address(),
        control.display(),
        folder.path().join("silent.sock").display(),
    );
    let begun = Instant::now();
    let world = World::start_on(fake.socket(), Some(&fake.networks()), &more).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "a host that hangs does not hold up the start");
    let hosts: Value = world.get("/hosts").await;
    assert_eq!(hosts[0]["engine"]["state"], "answers", "{hosts}");
    assert!(hosts[1]["engine"]["why"].as_str().unwrap().contains("there is no such socket"), "{hosts}");
    assert_eq!((&hosts[1]["gateway"]["state"], &hosts[2]["engine"]["state"]), (&"silent".into(), &"silent".into()));

    let config = world.path("windlass-server.toml").display().to_string();
    let begun = Instant::now();
    let looked = run(&world, &["doctor", "--config", &config, "--json"]).await;
    let took = begun.elapsed();
    let report = json(&String::from_utf8(looked.stdout).unwrap());
    let found = |name: &str| report.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["state"].clone();
    let states = ["host a", "host b", "gateway of b", "host c"].map(found);
    assert_eq!(states, ["ok", "failed", "failed", "failed"], "{report}");
    assert!(took < Duration::from_secs(10), "{took:?}");

    let late = FakeEngine::start("b", 4).await;
    std::os::unix::fs::symlink(late.socket(), &docker).unwrap();
    let joined = async {
        while world.get::<Value>("/hosts").await[1]["engine"]["state"] != "answers" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, joined).await.expect("the host joins");
    drop((silent_gateway, silent_engine));
}
