//! Containers that should run, found and brought back.

use std::time::Duration;

use windlass_core::task::TaskStatus;
use windlass_engine::EngineError;

use crate::lab::{Lab, connect};

#[tokio::test]
async fn a_container_is_found_as_it_is_and_one_that_is_gone_is_not() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    assert_eq!(lab.engine.find_task(&task.name).await.unwrap(), None);
    lab.boot(&task).await;
    let found = lab.engine.find_task(&task.name).await.unwrap().unwrap();
    assert_eq!((found.task.status, found.kept), (TaskStatus::Running, false));
    lab.engine.keep(&task.name).await.unwrap();
    assert!(lab.engine.find_task(&task.name).await.unwrap().unwrap().kept);
    let other = connect(windlass_core::names::InstallationId(uuid::Uuid::new_v4())).await;
    assert!(matches!(other.find_task(&task.name).await, Err(EngineError::Foreign { .. })));
    assert!(matches!(other.revive(&task.name).await, Err(EngineError::Foreign { .. })));
}

#[tokio::test]
async fn one_that_has_ended_runs_again_and_is_kept() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    lab.engine.stop(&task.name, "SIGKILL", Duration::from_secs(5)).await.unwrap();
    // Docker needs no image for it any more, and neither does this.
    for _ in 0..2 {
        lab.engine.revive(&task.name).await.unwrap();
        let found = lab.engine.find_task(&task.name).await.unwrap().unwrap();
        assert_eq!((found.task.status, found.kept), (TaskStatus::Running, true));
    }
    assert!(matches!(lab.engine.revive(&lab.name("nobody")).await, Err(EngineError::NoContainer { .. })));
}
