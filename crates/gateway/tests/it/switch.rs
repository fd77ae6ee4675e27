use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use windlass_core::gateway::{Discard, Switch, TargetState};
use windlass_core::names::Generation;
use windlass_core::quantity::Duration as Span;

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Front, HOST, eventually, spec};

const SWITCHES: u64 = 40;
const CLIENTS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_releases_come_and_go() {
    let front = Front::start().await;
    let mut old = Backend::start("0").await;
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (over, answered, http) = (Arc::clone(&over), Arc::clone(&answered), front.http());
            tokio::spawn(async move {
                let mut client = Client::connect(http).await;
                let mut newest = 0;
                while !over.load(Ordering::Relaxed) {
                    // Half of them come anew each time.
                    if number % 2 == 0 {
                        client = Client::connect(http).await;
                    }
                    let (status, body) = client.get(HOST, "/").await.expect("no connection breaks");
                    assert_eq!(status, 200, "{body}");
                    let release: u64 = body.parse().unwrap();
                    assert!(release >= newest, "{release} answered after {newest}");
                    newest = release;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for number in 1..=SWITCHES {
        let new = Backend::start(&number.to_string()).await;
        let next = spec(number + 1, &[&new]);
        front.control.prepare(next.clone(), Span::from_secs(10)).await.unwrap();
        let draining = front.control.switch(next.clone()).await.unwrap().draining;
        assert!(draining.contains(&old.name));
        assert_eq!(front.get("/").await.1, new.name, "the traffic has moved before the answer");
        assert_eq!(front.control.drained(&next, &[&old.name]).await.unwrap().cut, 0);
        // Gone at once, with its listener and its connections.
        old = new;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > SWITCHES * CLIENTS as u64, "there was load");
}

#[tokio::test]
async fn prepare_answers_when_the_slowest_target_is_healthy() {
    let front = Front::start().await;
    let (quick, slow) = (Backend::start("quick").await, Backend::start("slow").await);
    slow.set_healthy(false);
    let next = spec(1, &[&quick, &slow]);
    let waking = async {
        eventually("it was asked", async || slow.knobs.probes.load(Ordering::SeqCst) >= 3).await;
        slow.set_healthy(true);
        Instant::now()
    };
    let (prepared, healthy_since) = tokio::join!(front.control.prepare(next.clone(), Span::from_secs(10)), waking);
    assert!(healthy_since.elapsed() < Duration::from_millis(500), "it was noticed soon");
    let targets = prepared.unwrap().targets;
    assert_eq!(targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(), ["quick", "slow"]);
    assert!(targets.iter().all(|target| target.state == TargetState::Healthy));
    assert_eq!(targets[1].last_probe.as_deref(), Some("HTTP 200"));
    assert_eq!(front.get("/").await.0, 404, "no route has changed");
    front.control.switch(next).await.unwrap();
    assert_eq!(front.get("/").await.0, 200);
}

#[tokio::test]
async fn prepare_says_what_the_last_probes_heard() {
    let front = Front::start().await;
    let (good, bad, gone) = (Backend::start("good").await, Backend::start("bad").await, Backend::start("gone").await);
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    bad.set_healthy(false);
    let mut next = spec(1, &[&good, &bad, &gone]);
    next.targets.push(windlass_core::gateway::Target { name: "mute".to_owned(), address: mute.local_addr().unwrap() });
    next.probe.timeout = Span::from_millis(100);
    let (bad_at, gone_at, mute_at) = (bad.address, gone.address, mute.local_addr().unwrap());
    drop(gone);
    let problem = front.control.prepare(next.clone(), Span::from_millis(400)).await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (422, "unhealthy"));
    assert_eq!(
        problem.errors,
        [
            format!("bad ({bad_at}): HTTP 503"),
            format!("gone ({gone_at}): connection refused"),
            format!("mute ({mute_at}): no answer within 100ms"),
        ]
    );

    assert_eq!(front.control.state_of("bad").await, Some(TargetState::Joining), "still asked");
    let discard = Discard { key: next.key.clone(), generation: Generation(1) };
    front.control.send("POST", "/v1/discard", &discard).await.unwrap();
    assert!(front.control.status().await.services.is_empty());
    let probes = bad.knobs.probes.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(bad.knobs.probes.load(Ordering::SeqCst) <= probes + 1, "nobody asks any more");
}

#[tokio::test]
async fn a_discard_sends_away_those_who_wait() {
    let front = Front::start().await;
    let never = Backend::start("never").await;
    never.set_healthy(false);
    let next = spec(4, &[&never]);
    let discarding = async {
        eventually("it is asked", async || never.knobs.probes.load(Ordering::SeqCst) > 0).await;
        let discard = Discard { key: next.key.clone(), generation: Generation(4) };
        front.control.send("POST", "/v1/discard", &discard).await.unwrap();
    };
    let (prepared, ()) = tokio::join!(front.control.prepare(next.clone(), Span::from_secs(60)), discarding);
    assert_eq!(prepared.unwrap_err().code, "superseded");
}

#[tokio::test]
async fn an_older_generation_changes_nothing_and_the_same_is_the_same() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(5, &[&old])).await.unwrap();
    assert_eq!(front.control.switch(spec(4, &[&new])).await.unwrap_err().code, "older_generation");
    assert_eq!(front.control.switch_unchecked(spec(4, &[&new])).await.unwrap_err().status, 409);
    let late = front.control.prepare(spec(4, &[&new]), Span::from_secs(1)).await;
    assert_eq!(late.unwrap_err().code, "older_generation");
    assert_eq!(front.control.switch(spec(5, &[&new])).await.unwrap_err().code, "generation_conflict");
    assert_eq!(front.control.switch(spec(5, &[&old])).await.unwrap().draining, [""; 0]);
    front.control.prepare(spec(5, &[&old]), Span::from_secs(1)).await.unwrap();
    assert_eq!(front.get("/").await.1, "old");
    let status = front.control.status().await.services.remove(0);
    assert_eq!((status.generation, status.release.0, status.targets.len()), (Generation(5), 5, 1));
}

#[tokio::test]
async fn a_switch_waits_for_new_targets_unless_told_not_to() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    new.set_healthy(false);
    let hasty = Switch { service: spec(2, &[&new]), deadline: Span::from_millis(150), unchecked: false };
    let problem = front.control.send("POST", "/v1/switch", &hasty).await.unwrap_err();
    assert_eq!(problem.code, "unhealthy");
    assert_eq!(front.get("/").await.1, "old");
    front.control.switch_unchecked(spec(2, &[&new])).await.unwrap();
    assert_eq!(front.get("/").await.1, "new", "tried although its probes fail");
}

#[tokio::test]
async fn a_target_in_both_releases_is_left_alone() {
    let front = Front::start().await;
    let (stays, goes, comes) =
        (Backend::start("stays").await, Backend::start("goes").await, Backend::start("comes").await);
    front.control.switch(spec(1, &[&stays, &goes])).await.unwrap();
    let switched = front.control.switch(spec(2, &[&comes, &stays])).await.unwrap();
    assert_eq!(switched.draining, ["goes"]);
    let problem = front.control.drained(&spec(2, &[]), &["goes", "stays"]).await.unwrap_err();
    assert_eq!(problem.code, "in_use");
    let mut seen = [front.get("/").await.1, front.get("/").await.1];
    seen.sort_unstable();
    assert_eq!(seen, ["comes", "stays"]);
}

#[tokio::test]
async fn a_client_of_the_control_that_goes_away_leaves_no_wait_behind() {
    let front = Front::start().await;
    let late = Backend::start("late").await;
    late.set_healthy(false);
    let waiting = front.control.switch(spec(1, &[&late]));
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    late.set_healthy(true);
    eventually("it is healthy", async || front.control.state_of("late").await == Some(TargetState::Healthy)).await;
    assert_eq!(front.get("/").await.0, 404, "nobody waits for it to switch any more");
}
