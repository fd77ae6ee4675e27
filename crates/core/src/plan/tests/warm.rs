//! Old containers that only stopped, and when they are started again.

use super::*;
use crate::task::TaskSpec;

/// Release 2 is active, and release 1, whose containers stopped, shall be again.
fn back_to_release_1() -> (Scene, Vec<ObservedTask>, Vec<TaskSpec>) {
    let mut scene = Scene::new();
    scene.desired.release = ReleaseNumber(1);
    let mut first = scene.state();
    first.deployment = deployment(1);
    let made: Vec<TaskSpec> = plan(&first, &[]).unwrap().tasks().cloned().collect();
    let mut seen: Vec<ObservedTask> = Vec::new();
    for task in &made {
        let stopped = observed("web-1", 1, TaskStatus::Stopped);
        seen.push(ObservedTask { name: task.name.clone(), labels: task.labels.clone(), ..stopped });
    }
    scene.kind = DeploymentKind::Rollback;
    scene.desired.warm.clone_from(&made);
    (scene, seen, made)
}

fn warm(plan: &Plan) -> usize {
    let of_step = |step: &Step| if let Step::Boot { warm, .. } = step { warm.len() } else { 0 };
    plan.steps.iter().map(of_step).sum()
}

#[test]
fn a_rollback_starts_again_what_only_stopped_and_does_not_retire_it() {
    let (scene, seen, made) = back_to_release_1();
    let plan = scene.plan(&seen);
    assert_eq!(plan.tasks().cloned().collect::<Vec<_>>(), made);
    assert_eq!(warm(&plan), 3);
    let Some(Step::Retire { stop, remove, .. }) = plan.steps.last() else { panic!("{plan:?}") };
    assert!(stop.is_empty() && remove.is_empty(), "{plan:?}");
    let lines = scene.lines(&seen);
    assert!(lines.contains(&"boot: start again 2 tasks of default/web on a".to_owned()), "{lines:?}");
}

#[test]
fn what_would_be_made_otherwise_today_or_is_not_there_is_made_anew() {
    let (mut scene, seen, _) = back_to_release_1();
    assert_eq!(warm(&scene.plan(&seen[1..])), 2, "one was removed");
    scene.desired.settings.env = [("TZ".to_owned(), "CET".to_owned())].into();
    assert_eq!(warm(&scene.plan(&seen)), 0, "the stage's settings have changed");
}

#[test]
fn a_redeployment_has_new_tasks() {
    let (mut scene, seen, _) = back_to_release_1();
    scene.kind = DeploymentKind::Redeploy;
    assert_eq!(warm(&scene.plan(&seen)), 0);
}

#[test]
fn the_way_back_leads_to_warm_tasks_although_they_are_labelled_with_an_earlier_deployment() {
    let (mut scene, mut seen, made) = back_to_release_1();
    for task in &mut seen {
        task.status = TaskStatus::Running;
    }
    scene.kind = DeploymentKind::Deploy;
    scene.desired.release = ReleaseNumber(3);
    scene.desired.previous = Some(PreviousRelease {
        release: ReleaseNumber(1),
        deployment: deployment(9),
        tasks: made.iter().map(TaskSpec::place).collect(),
        config: scene.desired.config.clone(),
    });
    let [back] = &scene.plan(&seen).revert.switch[..] else { panic!("there is no way back") };
    assert_eq!(back.targets.len(), 2);
}
