use std::sync::atomic::Ordering;

use windlass_core::gateway::TargetState;
use windlass_core::quantity::Duration as Span;

use crate::backend::Backend;
use crate::harness::{Front, HOST, eventually, spec};

#[tokio::test]
async fn an_unhealthy_target_is_left_out_until_it_is_the_last() {
    let front = Front::start().await;
    let (good, bad) = (Backend::start("good").await, Backend::start("bad").await);
    front.control.switch(spec(1, &[&good, &bad])).await.unwrap();
    bad.set_healthy(false);
    eventually("it is unhealthy", async || front.control.state_of("bad").await == Some(TargetState::Unhealthy)).await;
    let before = bad.hits();
    for _ in 0..10 {
        assert_eq!(front.get("/").await.1, "good");
    }
    assert_eq!(bad.hits(), before);
    let status = front.control.targets().await.into_iter().find(|target| target.name == "bad").unwrap();
    assert_eq!(status.last_probe.as_deref(), Some("HTTP 503"));

    good.set_healthy(false);
    eventually("both are", async || front.control.state_of("good").await == Some(TargetState::Unhealthy)).await;
    assert_eq!(front.get("/").await.0, 200, "no request is refused because probes fail");

    bad.set_healthy(true);
    eventually("it heals", async || front.control.state_of("bad").await == Some(TargetState::Healthy)).await;
    assert_eq!(front.get("/").await.1, "bad");
}

#[tokio::test]
async fn a_refused_request_goes_to_another_target_and_has_the_first_one_probed() {
    let front = Front::start().await;
    let (stays, dies) = (Backend::start("stays").await, Backend::start("dies").await);
    let mut service = spec(1, &[&stays, &dies]);
    service.probe.interval = Span::from_secs(3600);
    front.control.switch(service).await.unwrap();
    drop(dies);
    for _ in 0..6 {
        assert_eq!(front.get("/").await, (200, "stays".to_owned()));
    }
    eventually("it was probed", async || front.control.state_of("dies").await == Some(TargetState::Unhealthy)).await;
}

#[tokio::test]
async fn probes_ask_as_the_first_route_and_go_on_at_the_interval() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let before = app.knobs.probes.load(Ordering::SeqCst);
    eventually("it is asked again", async || app.knobs.probes.load(Ordering::SeqCst) >= before + 3).await;
    assert_eq!(*app.knobs.probed_as.lock().unwrap(), HOST);
}

#[tokio::test]
async fn without_a_path_a_target_that_accepts_is_healthy() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let mut service = spec(1, &[&app]);
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    assert_eq!(app.knobs.probes.load(Ordering::SeqCst), 0);
    assert_eq!(front.control.targets().await[0].last_probe.as_deref(), Some("connection accepted"));
}

#[tokio::test]
async fn whoever_waits_for_an_illness_hears_of_it_when_it_is_one() {
    let front = Front::start().await;
    let (good, bad) = (Backend::start("good").await, Backend::start("bad").await);
    let mut service = spec(1, &[&good, &bad]);
    service.probe.interval = Span::from_secs(3600);
    front.control.switch(service.clone()).await.unwrap();
    let waits = front.control.ailing(&service, Span::from_millis(50));
    let sickens = async {
        // Asked again and again, although its interval is an hour, and healthy: nobody hears of anything.
        let before = bad.knobs.probes.load(Ordering::SeqCst);
        eventually("it is asked", async || bad.knobs.probes.load(Ordering::SeqCst) >= before + 3).await;
        bad.set_healthy(false);
    };
    let (ailing, ()) = tokio::join!(waits, sickens);
    let ailing = ailing.unwrap();
    assert_eq!((ailing.name.as_str(), ailing.state), ("bad", TargetState::Unhealthy));
    assert_eq!(ailing.last_probe.as_deref(), Some("HTTP 503"));
    assert_eq!(front.control.ailing(&service, Span::from_secs(3600)).await.unwrap().name, "bad", "and at once by then");
}

#[tokio::test]
async fn nobody_waits_for_an_illness_of_what_does_not_serve() {
    let front = Front::start().await;
    let (serves, other) = (Backend::start("serves").await, Backend::start("other").await);
    let before = front.control.ailing(&spec(1, &[&serves]), Span::from_secs(1)).await.unwrap_err();
    assert_eq!(before.code, "not_serving");
    front.control.switch(spec(1, &[&serves])).await.unwrap();
    let other = front.control.ailing(&spec(1, &[&serves, &other]), Span::from_secs(1)).await.unwrap_err();
    assert_eq!(other.code, "not_serving");
}

#[tokio::test]
async fn a_target_is_not_asked_so_often_any_more_when_nobody_waits_for_its_illness() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let mut service = spec(1, &[&app]);
    service.probe.interval = Span::from_secs(3600);
    front.control.switch(service.clone()).await.unwrap();
    let probes = || app.knobs.probes.load(Ordering::SeqCst);
    let before = probes();
    let asked = eventually("it is asked", async || probes() > before + 3);
    tokio::select! {
        ailing = front.control.ailing(&service, Span::from_millis(50)) => panic!("{ailing:?}"),
        () = asked => {}
    }
    eventually("it is left alone", async || {
        let before = probes();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        probes() == before
    })
    .await;
}
