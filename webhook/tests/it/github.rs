//! The client against a stand-in GitHub, over real HTTP.

mod app;
mod canned;
mod deployments;
mod enterprise;
mod facts;
mod refusals;

use secrecy::SecretString;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_testing::FakeGitHub;
use windlass_testing::github::FakeRepository;
use windlass_webhook::github::{Ancestry, GitHub, GitHubCredentials, GitHubError};

/// A stand-in GitHub with one repository, and a client with a token for it.
struct World {
    fake: FakeGitHub,
    shop: FakeRepository,
    github: GitHub,
    project: ProjectName,
}

impl World {
    async fn start() -> Self {
        let fake = FakeGitHub::start().await;
        let shop = fake.add_repository("acme/shop");
        let github = connect(&fake, GitHubCredentials::Token(SecretString::from(fake.token())));
        Self { fake, shop, github, project: "acme/shop".parse().unwrap() }
    }

    fn head(&self) -> CommitSha {
        self.shop.head("main").parse().unwrap()
    }

    /// How many requests went to paths that end so.
    fn asked(&self, end: &str) -> usize {
        self.fake.requests().iter().filter(|request| request.path.ends_with(end)).count()
    }
}

fn connect(fake: &FakeGitHub, credentials: GitHubCredentials) -> GitHub {
    GitHub::connect(&fake.url().parse().unwrap(), credentials).unwrap()
}

#[tokio::test]
async fn a_repository_is_known_by_its_id() {
    let world = World::start().await;
    let repository = world.github.repository(&world.project).await.unwrap();
    assert_eq!(repository.id.0, world.shop.id());
    assert_eq!(repository.name, world.project);
    assert_eq!(repository.default_branch, "main");
}

#[tokio::test]
async fn rule_021_a_branch_is_found_by_its_exact_name() {
    let world = World::start().await;
    let pushed = world.shop.push("feature/a b#c", "x");
    let head = |branch| world.github.branch_head(&world.project, branch);
    assert_eq!(head("feature/a b#c").await.unwrap().unwrap().as_str(), pushed);
    assert_eq!(head("main").await.unwrap(), Some(world.head()));
    assert_eq!(head("a b#c").await.unwrap(), None);
    assert_eq!(head("Main").await.unwrap(), None);
}

#[tokio::test]
async fn a_branch_of_a_repository_that_is_not_there_is_an_error_and_not_a_missing_branch() {
    let world = World::start().await;
    let nowhere = "acme/nowhere".parse().unwrap();
    let error = world.github.branch_head(&nowhere, "main").await.unwrap_err();
    assert!(matches!(error, GitHubError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn rule_053_commits_are_compared_by_ancestry() {
    let world = World::start().await;
    let base = world.head();
    let newer: CommitSha = world.shop.push("main", "newer").parse().unwrap();
    world.shop.push("side", "made from newer");
    let main: CommitSha = world.shop.push("main", "newest").parse().unwrap();
    let side: CommitSha = world.shop.head("side").parse().unwrap();
    for (base, head, expected) in [
        (&base, &base, Ancestry::Identical),
        (&base, &newer, Ancestry::Ahead),
        (&newer, &base, Ancestry::Behind),
        (&main, &side, Ancestry::Diverged),
    ] {
        assert_eq!(world.github.compare(&world.project, base, head).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_commit_leads_to_the_pull_request_that_it_came_of() {
    let world = World::start().await;
    let head = world.shop.push("feature", "a feature");
    let number = world.shop.open_pull_request("feature");
    let of = async |commit: &str| {
        let commit: CommitSha = commit.parse().unwrap();
        world.github.pull_requests_of(&world.project, &commit).await.unwrap()
    };
    let open = of(&head).await.remove(0);
    assert_eq!((open.number, open.head.as_str(), open.merge_commit), (number, head.as_str(), None));
    let merge = world.shop.squash_pull_request(number);
    let merged = of(&merge).await.remove(0);
    assert_eq!((merged.number, merged.base_branch.as_str()), (number, "main"));
    assert_eq!((merged.head.as_str(), merged.merge_commit.unwrap().as_str()), (head.as_str(), merge.as_str()));
    assert_eq!(of(&world.shop.push("main", "straight to main")).await, []);
}

#[tokio::test]
async fn neither_the_client_nor_its_credentials_show_a_secret() {
    let world = World::start().await;
    let shown = format!("{:?} {:?}", world.github, GitHubCredentials::Token(SecretString::from("s3cret")));
    assert!(!shown.contains(world.fake.token()) && !shown.contains("s3cret"), "{shown}");
}
