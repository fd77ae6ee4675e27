//! What a plan says, for a person reading it.

mod strategies;
mod warm;

use std::net::IpAddr;

use expect_test::expect;

use super::*;
use crate::config::{AppConfig, Limits, ProjectFile};
use crate::labels::{Kind, TaskLabels};
use crate::names::{Digest, InstallationId, RepositoryId};
use crate::task::{Image, TaskHealth, TaskStatus};

const CONFIG: &str = r#"
schema = 1
url = ["https://shop.example.com/"]
watch = "3s"
env = { TZ = "UTC", SHARED = "app" }
secrets = ["DATABASE_URL"]
migrate = { command = ["rake", "db:migrate"], timeout = "10m" }
roles.web = { port = 3000, scale = 2, primary = true, env = { SHARED = "role" }, health = { path = "/up" } }
roles.worker = { command = ["work"] }
"#;

struct Scene {
    limits: Limits,
    desired: DesiredApp,
    hosts: Vec<PlanHost>,
    kind: DeploymentKind,
    latest: bool,
}

impl Scene {
    fn new() -> Self {
        let limits = Limits::default();
        let host = |name: &str| PlanHost {
            name: name.parse().unwrap(),
            labels: Vec::new(),
            gateway: GatewayPresence::Present,
        };
        let desired = DesiredApp {
            release: ReleaseNumber(2),
            commit: "a".repeat(40).parse().unwrap(),
            image: Image { name: None, digest: digest() },
            config: config(CONFIG),
            settings: StageSettings::default(),
            secrets: 1,
            migrated: false,
            previous: None,
            warm: Vec::new(),
        };
        Self { limits, desired, hosts: vec![host("a")], kind: DeploymentKind::Deploy, latest: false }
    }

    fn state(&self) -> DesiredState<'_> {
        DesiredState {
            deployment: deployment(2),
            kind: self.kind,
            installation: InstallationId(uuid::Uuid::from_u128(1)),
            project: "acme/shop".parse().unwrap(),
            repository: RepositoryId(7),
            stage: "production".parse().unwrap(),
            generation: Generation(5),
            limits: &self.limits,
            latest: self.latest,
            apps: [(AppName::unnamed(), self.desired.clone())].into(),
            hosts: self.hosts.clone(),
        }
    }

    fn plan(&self, observed: &[ObservedTask]) -> Plan {
        plan(&self.state(), observed).unwrap()
    }

    fn lines(&self, observed: &[ObservedTask]) -> Vec<String> {
        self.plan(observed).steps.iter().map(|step| format!("{}: {step}", step.kind())).collect()
    }

    /// What release 1 left running.
    fn after_release_1(mut self) -> (Self, Vec<ObservedTask>) {
        self.desired.previous = Some(PreviousRelease {
            release: ReleaseNumber(1),
            deployment: deployment(1),
            tasks: ["web-1", "web-2", "worker-1"].map(on_a).into(),
            config: self.desired.config.clone(),
        });
        let observed = ["web-1", "web-2", "worker-1"].map(|name| observed(name, 1, TaskStatus::Running));
        (self, observed.into())
    }
}

fn config(text: &str) -> AppConfig {
    let stage = "production".parse().unwrap();
    ProjectFile::parse("windlass.toml", text).unwrap().resolve(&stage).apps.remove(&AppName::unnamed()).unwrap()
}

fn digest() -> Digest {
    format!("sha256:{}", "1".repeat(64)).parse().unwrap()
}

fn deployment(number: u8) -> DeploymentId {
    DeploymentId::from_random([number; 16])
}

fn on_a(name: &str) -> HostTask {
    HostTask { host: "a".parse().unwrap(), name: name.to_owned() }
}

fn observed(name: &str, release: u64, status: TaskStatus) -> ObservedTask {
    let role = name.split('-').next().unwrap();
    ObservedTask {
        host: "a".parse().unwrap(),
        container: name.to_owned(),
        name: name.to_owned(),
        labels: TaskLabels {
            installation: InstallationId(uuid::Uuid::from_u128(1)),
            project: RepositoryId(7),
            project_name: "acme/shop".parse().unwrap(),
            stage: "production".parse().unwrap(),
            app: AppName::unnamed(),
            role: role.parse().unwrap(),
            release: ReleaseNumber(release),
            deployment: Some(deployment(u8::try_from(release).unwrap())),
            generation: Generation(1),
            kind: Kind::Service,
        },
        status,
        health: TaskHealth::Unknown,
        address: Some(IpAddr::from([10, 0, 0, 2])),
        started: None,
        stopped: None,
        exit: None,
    }
}

#[test]
fn a_first_deployment_reads_as_a_story() {
    expect![[r#"
        prepare: have sha256:1111111111111111111111111111111111111111111111111111111111111111 on a
        migrate: run `rake db:migrate` of app default once on a, for 10m at the most
        boot: start 2 tasks of default/web on a
        verify: wait until 2 tasks are healthy, through the gateway too
        boot: start 1 task of default/worker on a
        verify: wait until 1 task is healthy
        switch: send shop.example.com/ on a to release 2
        watch: watch 3 tasks for 3s
        retire: drain and stop 0 old tasks"#]]
    .assert_eq(&Scene::new().lines(&[]).join("\n"));
}

#[test]
fn the_same_input_gives_the_same_plan_and_names_are_fixed_in_it() {
    let scene = Scene::new();
    let plan = scene.plan(&[]);
    assert_eq!(plan, scene.plan(&[]));
    let names: Vec<&str> = plan.revert.remove.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "windlass-00000000-shop-production-default-web-2-222222-1",
            "windlass-00000000-shop-production-default-web-2-222222-2",
            "windlass-00000000-shop-production-default-worker-2-222222-1",
        ]
    );
    assert_eq!((plan.generation, plan.revert_generation), (Generation(5), Generation(8)));
}

#[test]
fn nothing_old_is_stopped_before_the_switch_and_what_was_stopped_before_goes_at_last() {
    let (scene, mut observed_tasks) = Scene::new().after_release_1();
    observed_tasks.push(observed("web-9", 1, TaskStatus::Stopped));
    let plan = scene.plan(&observed_tasks);
    let Some((Step::Retire { unroute, stop, remove, .. }, before)) = plan.steps.split_last() else {
        panic!("{plan:?}")
    };
    let stopped: Vec<&str> = stop.iter().map(|task| task.task.name.as_str()).collect();
    assert_eq!(stopped, ["web-1", "web-2", "worker-1"]);
    assert_eq!(remove.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["web-9"]);
    assert!(before.iter().all(|step| !matches!(step, Step::Retire { .. })));
    assert_eq!(plan.switch_index() + 2, plan.retire_index());
    assert!(unroute.is_empty(), "the new release serves the same routes");
}

#[test]
fn a_release_without_a_url_takes_the_old_ones_route_away_before_its_tasks_are_drained() {
    let (mut scene, observed) = Scene::new().after_release_1();
    scene.desired.config.url.clear();
    let plan = scene.plan(&observed);
    let Some(Step::Retire { unroute, stop, .. }) = plan.steps.last() else { panic!("{plan:?}") };
    let [gone] = &unroute[..] else { panic!("{unroute:?}") };
    assert_eq!((gone.key.0.as_str(), gone.generation), ("7/production/default", Generation(6)));
    assert_eq!(stop.len(), 3);
    assert!(scene.lines(&observed).last().unwrap().contains("route 7/production/default on a no longer"));
}

#[test]
fn the_way_back_leads_to_what_served_under_a_generation_that_wins() {
    let (scene, observed) = Scene::new().after_release_1();
    let plan = scene.plan(&observed);
    let [back] = &plan.revert.switch[..] else { panic!("{:?}", plan.revert) };
    assert_eq!((back.release, back.generation), (ReleaseNumber(1), Generation(8)));
    assert_eq!(back.targets, ["web-1", "web-2"]);
    assert!(plan.revert.unroute.is_empty());
    let first = Scene::new().plan(&[]);
    assert!(first.revert.switch.is_empty());
    assert_eq!(first.revert.unroute.len(), 1);
}

#[test]
fn another_stages_and_another_installations_tasks_are_left_alone() {
    let (scene, _) = Scene::new().after_release_1();
    let mut foreign = observed("web-1", 1, TaskStatus::Running);
    foreign.labels.stage = "staging".parse().unwrap();
    let mut strange = observed("web-2", 1, TaskStatus::Running);
    strange.labels.installation = InstallationId(uuid::Uuid::from_u128(2));
    let plan = scene.plan(&[foreign, strange]);
    let nothing = Step::Retire { unroute: Vec::new(), stop: Vec::new(), remove: Vec::new(), latest: Vec::new() };
    assert_eq!(plan.steps.last(), Some(&nothing));
}

#[test]
fn a_release_migrates_once_and_a_rollback_never() {
    let migrates = |scene: &Scene| scene.plan(&[]).steps.iter().any(|step| step.kind() == StepKind::Migrate);
    let mut scene = Scene::new();
    assert!(migrates(&scene));
    scene.desired.migrated = true;
    assert!(!migrates(&scene));
    scene.desired.migrated = false;
    scene.kind = DeploymentKind::Rollback;
    assert!(!migrates(&scene));
}

#[test]
fn the_nearer_word_wins_in_the_environment_and_secrets_are_names_only() {
    let mut scene = Scene::new();
    scene.desired.settings.env = [("TZ".to_owned(), "CET".to_owned())].into();
    let plan = scene.plan(&[]);
    let Some(Step::Boot { tasks, .. }) = plan.steps.iter().find(|step| step.kind() == StepKind::Boot) else { panic!() };
    let env = &tasks[0].env;
    let value = |name: &str| env.get(name).map(String::as_str);
    assert_eq!((value("TZ"), value("SHARED"), value("PORT")), (Some("CET"), Some("role"), Some("3000")));
    assert_eq!((value("WINDLASS_RELEASE"), value("WINDLASS_ROLE")), (Some("2"), Some("web")));
    assert_eq!(tasks[0].secrets, ["DATABASE_URL"]);
    assert_eq!(value("DATABASE_URL"), None);
}

#[test]
fn the_stages_own_scale_wins_and_the_servers_limits_cap() {
    let mut scene = Scene::new();
    scene.desired.settings.scale = [(RoleName::unnamed(), 1)].into();
    scene.limits.memory = Some("256m".parse().unwrap());
    let plan = scene.plan(&[]);
    let Some(Step::Boot { tasks, .. }) = plan.steps.iter().find(|step| step.kind() == StepKind::Boot) else { panic!() };
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].resources.memory, scene.limits.memory);
}

#[test]
fn hosts_boot_in_batches_where_the_configuration_says_so() {
    let mut scene = Scene::new();
    for name in ["b", "c", "d"] {
        scene.hosts.push(PlanHost { name: name.parse().unwrap(), ..scene.hosts[0].clone() });
    }
    scene.desired.config.boot.limit = crate::config::BootLimit::Percent(50);
    let boots = scene.lines(&[]).into_iter().filter(|line| line.starts_with("boot: ") && line.contains("web"));
    assert_eq!(
        boots.collect::<Vec<_>>(),
        [
            "boot: start 2 tasks of default/web on a, 2 tasks of default/web on b",
            "boot: start 2 tasks of default/web on c, 2 tasks of default/web on d",
        ]
    );
}

#[test]
fn what_the_hosts_cannot_carry_is_refused_with_a_way_out() {
    let mut scene = Scene::new();
    scene.hosts[0].gateway = GatewayPresence::Absent;
    let error = plan(&scene.state(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "app default has a URL, but host a has no gateway");
    assert!(error.hint().unwrap().contains("gateway"));
    scene.hosts.clear();
    assert!(matches!(plan(&scene.state(), &[]), Err(PlanError::NoHost { .. })));
}

#[test]
fn the_tag_latest_moves_behind_the_switch_and_only_where_the_stage_is_told_to_move_it() {
    let mut scene = Scene::new();
    scene.desired.image.name = Some("registry.example.com/shop".parse().unwrap());
    assert!(!scene.lines(&[]).last().unwrap().contains("latest"));
    scene.latest = true;
    let lines = scene.lines(&[]);
    let moved = format!(", call registry.example.com/shop@{} latest", digest());
    assert!(lines.last().unwrap().ends_with(&moved), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("latest")).count(), 1);
    scene.desired.image.name = None;
    assert!(!scene.lines(&[]).last().unwrap().contains("latest"), "an engine of its own has no registry");
}

#[test]
fn every_step_has_a_deadline_beyond_what_the_configuration_allows_the_app() {
    let (scene, observed) = Scene::new().after_release_1();
    for step in scene.plan(&observed).steps {
        let configured = match step.kind() {
            StepKind::Migrate => 10 * 60,
            StepKind::Verify => 60,
            StepKind::Watch => 3,
            _ => 0,
        };
        let deadline = step.deadline().0.as_secs();
        assert!(deadline >= configured + 5 * 60, "{step}: {deadline}s");
        assert!(deadline <= configured + 25 * 60 * 60, "{step}: {deadline}s");
    }
}
