//! `kill -9` at random moments: wholly new or wholly old, GitHub hears the last word, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{HOST, PATIENCE, World};

/// A client that asks 200 times a second and counts what fails.
pub(crate) struct Client {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Option<String>>,
}

impl Client {
    pub(crate) fn start(world: &World) -> Self {
        let (stop, failed, answered) = (Arc::default(), Arc::default(), Arc::default());
        let url = format!("http://{}/", world.gateway_address);
        let task = tokio::spawn(ask(url, Arc::clone(&stop), Arc::clone(&failed), Arc::clone(&answered)));
        Self { stop, failed, answered, task }
    }

    /// Waits until so many were answered.
    pub(crate) async fn until_answered(&self, count: u64) {
        let answered = async {
            while self.answered.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("requests are answered");
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many were answered; panics when one failed.
    pub(crate) async fn stop(self) -> u64 {
        let (answered, failed, example) = self.end().await;
        assert_eq!(failed, 0, "of {answered} requests; one example: {example:?}");
        answered
    }

    /// How many were answered and how many failed.
    pub(crate) async fn stop_anyway(self) -> (u64, u64) {
        let (answered, failed, _) = self.end().await;
        (answered, failed)
    }

    async fn end(self) -> (u64, u64, Option<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let example = self.task.await.unwrap();
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed), example)
    }
}

async fn ask(url: String, stop: Arc<AtomicBool>, failed: Arc<AtomicU64>, answered: Arc<AtomicU64>) -> Option<String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut requests = tokio::task::JoinSet::new();
    let mut example = None;
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let request = client.get(&url).header("host", HOST);
        requests.spawn(async move {
            let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
            if status == 200 && text.starts_with("release ") { Ok(()) } else { Err(format!("{status} {text}")) }
        });
        while let Some(done) = requests.try_join_next() {
            count(done.unwrap(), &failed, &answered, &mut example);
        }
    }
    while let Some(done) = requests.join_next().await {
        count(done.unwrap(), &failed, &answered, &mut example);
    }
    example
}

fn count(result: Result<(), String>, failed: &AtomicU64, answered: &AtomicU64, example: &mut Option<String>) {
    match result {
        Ok(()) => answered.fetch_add(1, Ordering::Relaxed),
        Err(why) => {
            example.get_or_insert(why);
            failed.fetch_add(1, Ordering::Relaxed)
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_063_the_service_is_killed_at_ten_random_moments_and_every_deployment_ends_whole() {
    let mut world = World::start().await;
    let image = world.build(&[("SAMPLE_START_DELAY_MS", "300")]).await;
    let config = world.config_with("migrate = { command = [\"migrate\"] }\nenv = { SAMPLE_MIGRATE_MS = \"300\" }");
    let first = world.merge("first");
    world.repository.add_check_run(&first, "test", CheckState::Completed(Conclusion::Success));
    world.register(&first, &image, &config).await;
    world.repository.until_status(&first, "success", PATIENCE).await.unwrap();
    let client = Client::start(&world);

    // A deployment takes about two and a half seconds; the moments are spread over it, each a little off.
    for cut in 0..10_u64 {
        let commit = world.merge(&format!("cut {cut}").replace(' ', "-"));
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.register(&commit, &image, &config).await;
        let moment = Duration::from_millis(cut * 260 + u64::from(rand_byte()) / 2);
        tokio::time::sleep(moment).await;
        world.kill_service().await;
        world.start_service().await;

        let told = world
            .repository
            .until_deployment(|it| it.sha == commit && matches!(it.state(), Some("success" | "failure")), PATIENCE)
            .await
            .unwrap_or_else(|_| panic!("cut {cut} at {moment:?}: no last word\n{}", world.service_log()));
        assert_eq!(told.states(), ["queued", "in_progress", "success"], "cut {cut} at {moment:?}");
        let deployment = world.deployments().await.remove(0);
        assert_eq!(deployment.state, DeploymentState::Succeeded, "cut {cut} at {moment:?}: {deployment:?}");
        let number = deployment.releases.values().next().unwrap().0;
        assert!(world.answer().await.starts_with(&format!("release {number} ")), "cut {cut} at {moment:?}");
        let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
        assert_eq!(page.matches(&format!("migrated to release {number}")).count(), 1, "cut {cut} at {moment:?}");
    }
    let answered = client.stop().await;
    println!("10 cuts, {answered} requests answered, 0 failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_flows_while_the_service_is_dead_and_after_the_gateway_was_killed() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("only");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &world.config()).await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let client = Client::start(&world);
    world.kill_service().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(client.stop().await > 100);
    world.kill_gateway().await;
    world.start_gateway().await;
    assert!(world.answer().await.starts_with("release 1 "), "after its restart the gateway knows from its snapshot");
}

/// Some byte that no two runs share.
fn rand_byte() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    hash.to_le_bytes()[0]
}
