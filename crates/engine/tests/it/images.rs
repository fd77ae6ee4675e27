//! Images that go, and those that somebody uses.

use std::time::Duration;

use windlass_engine::Removal;

use crate::lab::Lab;

#[tokio::test]
async fn rule_090_an_image_goes_only_when_no_container_uses_it_not_even_a_stopped_one() {
    let lab = Lab::open().await;
    let (task, reference) = (lab.task("web-1"), lab.image.reference());
    lab.boot(&task).await;
    assert_eq!(lab.engine.remove_unused_image(&reference).await.unwrap(), Removal::InUse);
    lab.engine.stop(&task.name, "SIGKILL", Duration::from_secs(5)).await.unwrap();
    assert_eq!(lab.engine.remove_unused_image(&reference).await.unwrap(), Removal::InUse);
    assert!(lab.engine.inspect_image(&reference).await.unwrap().is_some());
    lab.engine.remove(&task.name).await.unwrap();
    assert_eq!(lab.engine.remove_unused_image(&reference).await.unwrap(), Removal::Removed);
    assert_eq!(lab.engine.remove_unused_image(&reference).await.unwrap(), Removal::NotThere);
}
