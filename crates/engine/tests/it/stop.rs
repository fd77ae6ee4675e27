use std::time::{Duration, Instant};

use windlass_core::task::TaskStatus;

use crate::lab::Lab;

#[tokio::test]
async fn a_polite_app_ends_in_its_grace() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    wait_until_it_listens(&lab, &task.name).await;
    let begun = Instant::now();
    lab.engine.stop(&task.name, "SIGTERM", Duration::from_secs(20)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let stopped = lab.engine.look(&task.name).await.unwrap();
    assert_eq!(stopped.exit.map(|exit| exit.code), Some(0), "{stopped:?}");
    assert!(stopped.stopped.is_some() && stopped.address.is_none());
}

#[tokio::test]
async fn an_app_that_ignores_the_signal_is_killed_after_its_grace() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.env.insert("SAMPLE_IGNORE_SIGTERM".to_owned(), "1".to_owned());
    lab.boot(&task).await;
    wait_until_it_listens(&lab, &task.name).await;
    let begun = Instant::now();
    lab.engine.stop(&task.name, "SIGTERM", Duration::from_secs(1)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(lab.engine.exit(&task.name).await.unwrap().map(|exit| exit.code), Some(137));
}

#[tokio::test]
async fn to_stop_and_to_remove_twice_is_to_do_it_once() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    for _ in 0..2 {
        lab.engine.stop(&task.name, "SIGTERM", Duration::from_secs(5)).await.unwrap();
        assert_eq!(lab.engine.look(&task.name).await.unwrap().status, TaskStatus::Stopped);
    }
    for _ in 0..2 {
        lab.engine.remove(&task.name).await.unwrap();
        lab.engine.stop(&task.name, "SIGTERM", Duration::from_secs(5)).await.unwrap();
    }
    assert!(lab.engine.observe().await.unwrap().is_empty());
}

#[tokio::test]
async fn two_who_remove_the_same_container_both_succeed() {
    let lab = Lab::open().await;
    let task = lab.task("web-1");
    lab.boot(&task).await;
    let (one, other) = tokio::join!(lab.engine.remove(&task.name), lab.engine.remove(&task.name));
    one.unwrap();
    other.unwrap();
}

async fn wait_until_it_listens(lab: &Lab, name: &str) {
    let address = (lab.engine.look(name).await.unwrap().address.unwrap(), 3000);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
