//! One merge makes GitHub tell five things, in any order and more than once: it is deployed once.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_core::api::{DeploymentView, Page};
use windlass_core::deployment::DeploymentState;
use windlass_core::names::Digest;
use windlass_testing::github::{CheckState, CommitState, Conclusion, DeliveryRecord, FakeRepository, deliver};

use crate::order::{GREEN, register_light, until};
use crate::world::{PATIENCE, WEBHOOK_SECRET, World, stage_path};

/// What GitHub tells of one merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Push,
    PullRequest,
    CheckSuite,
    Status,
    WorkflowRun,
}

const ALL: [Told; 5] = [Told::Push, Told::PullRequest, Told::CheckSuite, Told::Status, Told::WorkflowRun];

/// Projects that are told of merges side by side; each has one merge after the other.
const PROJECTS: usize = 6;

/// Whether things are told more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeated {
    No,
    Yes,
}

/// Every order of these.
fn orders(of: &[Told]) -> Vec<Vec<Told>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let begin = |first: &Told| {
        let others: Vec<Told> = of.iter().copied().filter(|other| other != first).collect();
        orders(&others).into_iter().map(|rest| [vec![*first], rest].concat()).collect::<Vec<_>>()
    };
    of.iter().flat_map(begin).collect()
}

/// A commit that was merged, and of which nobody has been told.
struct Merge<'a> {
    world: &'a World,
    image: &'a Digest,
    repository: &'a FakeRepository,
    commit: String,
    check: u64,
}

impl<'a> Merge<'a> {
    fn new((world, image): (&'a World, &'a Digest), repository: &'a FakeRepository, title: &str) -> Self {
        repository.push(title, title);
        let number = repository.open_pull_request(title);
        let commit = repository.merge_pull_request(number);
        let check = repository.add_check_run(&commit, "test", CheckState::InProgress);
        repository.set_status(&commit, "ci/lint", CommitState::Pending);
        Self { world, image, repository, commit, check }
    }

    /// What is told has happened by then, and not long before.
    fn happens(&self, told: Told) -> DeliveryRecord {
        match told {
            Told::Push | Told::PullRequest => {}
            Told::CheckSuite => self.repository.complete_check_run(self.check, Conclusion::Success),
            Told::Status => self.repository.set_status(&self.commit, "ci/lint", CommitState::Success),
            Told::WorkflowRun => self.repository.complete_workflow_run(&self.commit, "ci", Conclusion::Success),
        }
        let (event, word) = match told {
            Told::Push => ("push", "refs/heads/main"),
            Told::PullRequest => ("pull_request", "\"closed\""),
            Told::CheckSuite => ("check_suite", "\"completed\""),
            Told::Status => ("status", "\"success\""),
            Told::WorkflowRun => ("workflow_run", "\"completed\""),
        };
        let wanted = |it: &DeliveryRecord| {
            let body = String::from_utf8_lossy(&it.body);
            it.event == event && body.contains(word) && body.contains(&self.commit)
        };
        self.world.github.newest_delivery(wanted).unwrap_or_else(|| panic!("{told:?} was made"))
    }

    async fn tell(&self, delivery: &DeliveryRecord, guid: &str) {
        let address = format!("http://{}/webhooks/github", self.world.service_address);
        let attempt = deliver(&address, WEBHOOK_SECRET, &delivery.event, guid, &delivery.body).await;
        assert!(attempt.was_taken(), "{attempt:?}");
    }

    async fn release(&self, stage: &str) {
        register_light(self.world, self.image, stage, &self.commit).await;
    }

    /// As the service says: GitHub, which wants no more than so many writes a minute, hears of it later.
    async fn until_deployed(&self, stage: &str) {
        let deployed = async {
            loop {
                let newest: Page<DeploymentView> = self.world.get(&format!("{stage}/deployments?limit=1")).await;
                let is = |it: &DeploymentView| it.commit.as_str() == self.commit;
                if newest.items.iter().any(|it| is(it) && it.state == DeploymentState::Succeeded) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let deployed = tokio::time::timeout(PATIENCE, deployed).await;
        deployed.unwrap_or_else(|_| panic!("{} is not deployed:\n{}", self.commit, self.world.service_log()));
    }
}

/// Tells of one merge after the other, and then of a last one: what came before it has had its effect.
async fn tell_all(world: &World, image: &Digest, name: &str, orders: Vec<(usize, Vec<Told>, Repeated)>) -> Vec<String> {
    let repository = world.github.add_repository(name);
    let stage = format!("/projects/{name}/stages/production");
    let mut commits = Vec::new();
    for (number, order, repeated) in orders {
        let merge = Merge::new((world, image), &repository, &format!("change-{number}-{repeated:?}"));
        let release_at = number % (ALL.len() + 1);
        let mut deliveries = Vec::new();
        for (place, told) in order.into_iter().enumerate() {
            if place == release_at {
                merge.release(&stage).await;
            }
            let delivery = merge.happens(told);
            merge.tell(&delivery, &delivery.guid).await;
            if repeated == Repeated::Yes {
                // GitHub's second try has the same GUID; a second webhook's delivery has another.
                let again = if place % 2 == number % 2 { "" } else { "-again" };
                merge.tell(&delivery, &format!("{}{again}", delivery.guid)).await;
            }
            deliveries.push(delivery);
        }
        if release_at == ALL.len() {
            merge.release(&stage).await;
        }
        merge.until_deployed(&stage).await;
        if repeated == Repeated::Yes {
            for delivery in &deliveries {
                merge.tell(delivery, &format!("{}-late", delivery.guid)).await;
            }
        }
        commits.push(merge.commit);
    }
    let last = Merge::new((world, image), &repository, "last");
    last.release(&stage).await;
    for told in ALL {
        let delivery = last.happens(told);
        last.tell(&delivery, &delivery.guid).await;
    }
    last.until_deployed(&stage).await;
    commits.push(last.commit);

    let page: Page<DeploymentView> = world.get(&format!("{stage}/deployments?limit=100")).await;
    let mut ours: Vec<String> = page.items.iter().map(|it| it.commit.to_string()).collect();
    ours.reverse();
    assert_eq!(ours, commits, "{name}: one deployment for each merge");
    assert!(page.items.iter().all(|it| it.state == DeploymentState::Succeeded));
    let mut on_github: Vec<String> = repository.deployments().into_iter().map(|it| it.sha).collect();
    let all = on_github.len();
    on_github.sort();
    on_github.dedup();
    assert_eq!(on_github.len(), all, "{name}: none is on GitHub twice");
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_025_in_all_120_orders_and_with_everything_told_again_a_merge_is_deployed_once() {
    let name = |number: usize| format!("acme/project-{number}");
    let more: String = (0..PROJECTS)
        .map(|number| {
            let name = name(number);
            format!(
                "[projects.\"{name}\"]\n[projects.\"{name}\".stages.production]\n\
                 deploy-on = [\"merge\", \"push\"]\nchecks = \"all\"\n"
            )
        })
        .collect();
    let world = World::start_with(&more).await;
    let light = world.build(&[]).await;
    world.github.hold_deliveries();
    let mut shares = vec![Vec::new(); PROJECTS];
    let orders = orders(&ALL);
    assert_eq!(orders.len(), 120);
    for (number, order) in orders.into_iter().enumerate() {
        for repeated in [Repeated::No, Repeated::Yes] {
            shares[number % PROJECTS].push((number, order.clone(), repeated));
        }
    }
    let shares = shares.into_iter().enumerate().map(|(number, share)| {
        let (world, light, name) = (&world, &light, name(number));
        async move { tell_all(world, light, &name, share).await.len() }
    });
    let deployed: usize = futures_util::future::join_all(shares).await.into_iter().sum();
    assert_eq!(deployed, 240 + PROJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_048_what_is_told_in_reverse_is_read_afresh() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("reversed");
    world.repository.set_status(&commit, "ci", CommitState::Pending);
    register_light(&world, &light, &stage_path(), &commit).await;
    until(&world, &commit, |it| it.reason.as_deref() == Some("gate")).await;
    world.github.hold_deliveries();
    world.repository.set_status(&commit, "ci", CommitState::Failure);
    world.repository.set_status(&commit, "ci", CommitState::Pending);
    world.repository.set_status(&commit, "ci", CommitState::Success);
    let mut held = world.github.deliveries();
    held.retain(|it| it.attempts.is_empty());
    assert_eq!(held.len(), 3);
    for delivery in held.iter().rev() {
        world.github.redeliver(&delivery.guid).await.unwrap();
    }
    let told = world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "in_progress", "success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_049_a_suite_of_another_branch_counts_for_the_commit_wherever_it_is() {
    let world =
        World::start_with("[projects.\"acme/shop\".stages.staging]\ndeploy-on = [\"push\"]\nchecks = \"all\"").await;
    let light = world.build(&[]).await;
    let staging = stage_path().replace("production", "staging");
    let commit = world.repository.push("a-feature", "tested where it was made");
    let suite = world.repository.add_check_suite(&commit, "github-actions");
    let check = world.repository.add_check_run_in(suite, "test", CheckState::InProgress);
    world.repository.reset_branch("main", &commit);
    register_light(&world, &light, &staging, &commit).await;
    world.repository.until_status(&commit, "queued", PATIENCE).await.unwrap();
    world.repository.complete_check_run(check, Conclusion::Success);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let told = world.github.newest_delivery(|it| it.event == "check_suite").unwrap();
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["check_suite"]["head_branch"], json!("a-feature"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_052_the_end_of_a_workflow_s_second_try_is_enough_to_look_again() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("second-try");
    let suite = world.repository.add_check_suite(&commit, "github-actions");
    world.repository.add_check_run_in(suite, "test", CheckState::Completed(Conclusion::Failure));
    register_light(&world, &light, &stage_path(), &commit).await;
    world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    world.github.until_delivered(PATIENCE).await.unwrap();
    world.github.hold_deliveries();
    world.repository.add_check_run_in(suite, "test", GREEN);
    world.repository.complete_workflow_run(&commit, "ci", Conclusion::Success);
    let ended = world.github.newest_delivery(|it| it.event == "workflow_run").unwrap();
    world.github.redeliver(&ended.guid).await.unwrap();
    let again = |it: &windlass_testing::github::DeploymentRecord| it.sha == commit && it.state() == Some("success");
    world.repository.until_deployment(again, PATIENCE).await.unwrap();
}
