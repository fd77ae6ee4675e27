//! GitHub Enterprise Server has its API below a path of its own.

use secrecy::SecretString;
use windlass_core::Timestamp;
use windlass_core::names::DeploymentId;
use windlass_core::notice::GitHubState;
use windlass_testing::FakeGitHub;
use windlass_testing::github::{CheckState, Conclusion};
use windlass_webhook::github::{Ancestry, GitHub, GitHubCredentials, NewGitHubDeployment, NewStatus};

use super::World;

const KEY: &str = include_str!("key-of-no-app.pem");

#[tokio::test]
async fn every_request_keeps_the_path_of_an_enterprise_server_as_app_and_with_a_token() {
    let token = |fake: &FakeGitHub| GitHubCredentials::Token(SecretString::from(fake.token()));
    let app = |_: &FakeGitHub| GitHubCredentials::App { id: FakeGitHub::APP_ID, private_key: SecretString::from(KEY) };
    let both: [fn(&FakeGitHub) -> GitHubCredentials; 2] = [token, app];
    for credentials in both {
        let world = World::start().await;
        let url = world.fake.enterprise_url().parse().unwrap();
        let github = GitHub::connect(&url, credentials(&world.fake)).unwrap();
        work(&world, &github).await;
        let requests = world.fake.requests();
        let strays: Vec<_> = requests.iter().filter(|it| !it.path.starts_with("/api/v3/")).collect();
        assert!(strays.is_empty() && requests.len() > 15, "{requests:?}");
    }
}

/// Everything that the service asks in the life of a deployment, with lists of several pages.
async fn work(world: &World, github: &GitHub) {
    let (shop, project, head) = (&world.shop, &world.project, world.head());
    for number in 0..120 {
        let done = CheckState::Completed(Conclusion::Success);
        shop.add_check_run(head.as_str(), &format!("check {number}"), done);
    }
    assert_eq!(github.repository(project).await.unwrap().id.0, shop.id());
    assert_eq!(github.branch_head(project, "main").await.unwrap(), Some(head.clone()));
    assert_eq!(github.compare(project, &head, &head).await.unwrap(), Ancestry::Identical);
    let facts = github.commit_facts(project, &head, "main", Timestamp::now()).await.unwrap();
    assert_eq!(facts.check_runs.len(), 120);
    shop.push("feature", "x");
    let number = shop.open_pull_request("feature");
    let merge = shop.merge_pull_request(number).parse().unwrap();
    assert_eq!(github.pull_requests_of(project, &merge).await.unwrap()[0].number, number);

    let deployment = NewGitHubDeployment {
        commit: merge,
        commits: std::collections::BTreeMap::new(),
        task: "deploy".to_owned(),
        environment: "production".parse().unwrap(),
        description: "Release 3".to_owned(),
        deployment: DeploymentId::from_random([7; 16]),
        production: true,
        transient: false,
    };
    let id = github.create_deployment(project, &deployment).await.unwrap();
    assert_eq!(github.find_deployment(project, &deployment).await.unwrap(), Some(id));
    let status =
        NewStatus { state: GitHubState::Queued, description: String::new(), log_url: None, environment_url: None };
    github.create_status(project, id, &status).await.unwrap();
    assert!(github.has_status(project, id, &status).await.unwrap());
    let comment = github.create_comment(project, number, "<!-- marker -->\none").await.unwrap();
    assert_eq!(github.find_comment(project, number, "<!-- marker -->").await.unwrap(), Some(comment));
    github.edit_comment(project, comment, "two").await.unwrap();
    assert_eq!(shop.comments(number)[0].body(), "two");
}
