//! What gives way to what, and when.

use super::*;
use crate::config::Strategy;
use crate::gateway::Hold;
use crate::quantity::Duration;

impl Scene {
    fn strategy(mut self, role: &str, strategy: Strategy) -> Self {
        let (_, config) =
            self.desired.config.roles.iter_mut().find(|(name, _)| name.as_str() == role).expect("there is such a role");
        config.strategy = strategy;
        if strategy == Strategy::Singleton {
            config.scale = 1;
        }
        self
    }

    fn with_hosts(mut self, names: &[&str]) -> Self {
        for name in names {
            self.hosts.push(PlanHost { name: name.parse().unwrap(), ..self.hosts[0].clone() });
        }
        self
    }
}

fn after_release_1(role: &str, strategy: Strategy) -> (Scene, Vec<ObservedTask>) {
    let (scene, observed) = Scene::new().after_release_1();
    (scene.strategy(role, strategy), observed)
}

fn kinds_and_texts(scene: &Scene, observed: &[ObservedTask]) -> String {
    let lines = scene.lines(observed).into_iter();
    lines.filter(|line| !line.starts_with("prepare") && !line.starts_with("migrate")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_worker_that_must_not_run_twice_gives_way_after_the_switch() {
    let (scene, observed) = after_release_1("worker", Strategy::Singleton);
    expect![[r#"
        boot: start 2 tasks of default/web on a
        verify: wait until 2 tasks are healthy, through the gateway too
        switch: send shop.example.com/ on a to release 2
        boot: drain and stop 1 old task, then start 1 task of default/worker on a
        verify: wait until 1 task is healthy
        watch: watch 3 tasks for 3s
        retire: drain and stop 3 old tasks"#]]
    .assert_eq(&kinds_and_texts(&scene, &observed));
}

#[test]
fn requests_are_held_while_a_singleton_with_traffic_gives_way_and_nobody_waits_for_the_worker() {
    let (scene, observed) = after_release_1("web", Strategy::Singleton);
    expect![[r#"
        boot: hold requests for shop.example.com/ on a, drain and stop 2 old tasks, then start 1 task of default/web on a
        verify: wait until 1 task is healthy, through the gateway too
        switch: send shop.example.com/ on a to release 2
        boot: start 1 task of default/worker on a
        verify: wait until 1 task is healthy
        watch: watch 2 tasks for 3s
        retire: drain and stop 3 old tasks"#]].assert_eq(&kinds_and_texts(&scene, &observed));
}

#[test]
fn each_write_to_a_gateway_wins_over_the_one_before_it() {
    let (scene, observed) = after_release_1("web", Strategy::Safe);
    let plan = scene.plan(&observed);
    let hold = plan.steps.iter().find_map(|step| match step {
        Step::Boot { hold, .. } => hold.first(),
        _ => None,
    });
    let hold = hold.unwrap();
    let switch = plan.steps.iter().find_map(|step| match step {
        Step::Switch { services } => services.first(),
        _ => None,
    });
    let back = plan.exchanged(plan.switch_index()).hold.remove(0);
    let generations = [hold, switch.unwrap(), &back, &plan.revert.switch[0]].map(|service| service.generation.0);
    assert_eq!(generations, [5, 6, 7, 8]);
    assert_eq!((hold.release, hold.targets.len()), (ReleaseNumber(1), 0));
    assert_eq!(hold.hold, Hold { requests: 100, time: Duration::from_secs(10) });
}

#[test]
fn with_stop_first_it_is_said_at_once_that_nobody_is_there() {
    let (scene, observed) = after_release_1("web", Strategy::StopFirst);
    let line = scene.lines(&observed).into_iter().find(|line| line.starts_with("boot: ")).unwrap();
    assert!(line.starts_with("boot: refuse requests for shop.example.com/ on a, drain and stop 2"), "{line}");
}

#[test]
fn a_singleton_has_one_place_and_all_old_ones_stop_before_it_starts() {
    let (scene, mut observed) = Scene::new().with_hosts(&["b", "c"]).after_release_1();
    let mut strayed = observed.pop().unwrap();
    strayed.host = "c".parse().unwrap();
    observed.push(strayed);
    let plan = scene.strategy("worker", Strategy::Singleton).plan(&observed);
    let exchange = plan.steps.iter().find_map(|step| match step {
        Step::Boot { replaces, tasks, .. } if !replaces.is_empty() => Some((replaces, tasks)),
        _ => None,
    });
    let (replaces, tasks) = exchange.unwrap();
    assert_eq!(replaces.iter().map(|old| old.task.host.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(tasks.iter().map(|new| new.host.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn workers_that_stop_first_do_so_batch_by_batch_and_safe_ones_all_at_once() {
    let batches = |strategy| {
        let (mut scene, mut observed) = Scene::new().with_hosts(&["b"]).after_release_1();
        scene.desired.config.boot.limit = crate::config::BootLimit::Hosts(1);
        observed.push(ObservedTask { host: "b".parse().unwrap(), ..observed[2].clone() });
        let plan = scene.strategy("worker", strategy).plan(&observed);
        plan.steps.iter().filter(|step| matches!(step, Step::Boot { replaces, .. } if !replaces.is_empty())).count()
    };
    assert_eq!([batches(Strategy::StopFirst), batches(Strategy::Safe)], [2, 1]);
}

#[test]
fn a_first_deployment_has_nobody_to_hold_or_stop_for() {
    let scene = Scene::new().strategy("web", Strategy::Safe).strategy("worker", Strategy::Singleton);
    let steps = scene.plan(&[]).steps;
    let boots = steps.iter().filter_map(|step| match step {
        Step::Boot { hold, replaces, .. } => Some((hold.len(), replaces.len())),
        _ => None,
    });
    assert_eq!(boots.collect::<Vec<_>>(), [(0, 0), (0, 0)]);
}

#[test]
fn only_an_exchange_that_has_begun_is_taken_back() {
    let (scene, observed) = after_release_1("worker", Strategy::StopFirst);
    let plan = scene.plan(&observed);
    assert_eq!(plan.exchanged(plan.switch_index()), Exchanged::default());
    let exchanged = plan.exchanged(plan.switch_index() + 1);
    assert_eq!(exchanged.restart.iter().map(|old| &old.task).collect::<Vec<_>>(), [&on_a("worker-1")]);
    assert!(exchanged.hold.is_empty(), "no request goes to a worker");
    assert!(exchanged.remove[0].name.contains("-worker-2-"), "{exchanged:?}");
}

#[test]
fn batches_wait_for_each_other_as_long_as_the_configuration_says() {
    let mut scene = Scene::new().with_hosts(&["b"]);
    scene.desired.config.boot =
        crate::config::Boot { limit: crate::config::BootLimit::Hosts(1), wait: Duration::from_secs(5) };
    let boots = scene.lines(&[]).into_iter().filter(|line| line.starts_with("boot: ") && line.contains("web"));
    assert_eq!(
        boots.collect::<Vec<_>>(),
        ["boot: start 2 tasks of default/web on a", "boot: after 5s: start 2 tasks of default/web on b"]
    );
}

#[test]
fn what_was_left_over_stops_with_the_rest_and_does_not_come_back() {
    let (scene, mut observed_tasks) = after_release_1("worker", Strategy::Singleton);
    observed_tasks.push(observed("worker-9", 1, TaskStatus::Running));
    let plan = scene.plan(&observed_tasks);
    let exchanged = plan.exchanged(plan.retire_index());
    assert_eq!(exchanged.restart.iter().map(|old| &old.task).collect::<Vec<_>>(), [&on_a("worker-1")]);
    let replaced: usize = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Boot { replaces, .. } => replaces.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(replaced, 2);
}

#[test]
fn one_that_should_run_gives_way_also_when_it_does_not_run_at_this_moment() {
    let (scene, mut observed_tasks) = after_release_1("worker", Strategy::Singleton);
    observed_tasks[2].status = TaskStatus::Stopped;
    let plan = scene.plan(&observed_tasks);
    assert_eq!(plan.exchanged(plan.retire_index()).restart.len(), 1);
}

#[test]
fn a_host_that_the_stage_has_no_more_is_seen_to_with_the_first_batch() {
    let (scene, mut observed_tasks) = Scene::new().with_hosts(&["b"]).after_release_1();
    let mut scene = scene.strategy("worker", Strategy::Singleton);
    observed_tasks[2].host = "gone".parse().unwrap();
    let previous = scene.desired.previous.as_mut().unwrap();
    previous.tasks.insert(HostTask { host: "gone".parse().unwrap(), name: "worker-1".to_owned() });
    let plan = scene.plan(&observed_tasks);
    let restart = plan.exchanged(plan.retire_index()).restart;
    assert_eq!(restart.iter().map(|old| old.task.host.as_str()).collect::<Vec<_>>(), ["gone"]);
}

#[test]
fn a_role_with_traffic_gives_way_also_when_it_had_another_name() {
    let (mut scene, observed_tasks) = Scene::new().after_release_1();
    let web = scene.desired.config.roles.remove(&RoleName::unnamed()).unwrap();
    scene.desired.config.roles.insert("front".parse().unwrap(), web);
    let lines = scene.strategy("front", Strategy::Safe).lines(&observed_tasks);
    assert!(lines.iter().any(|line| line.contains("hold requests") && line.contains("stop 2 old tasks")), "{lines:?}");
}
