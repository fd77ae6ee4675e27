//! What has ended is forgotten, and nothing that anybody needs.

use sqlx::Row;
use windlass_core::api::DeploymentView;
use windlass_core::deployment::DeploymentState;

use crate::world::{PATIENCE, World};

const AT_ONCE: &str =
    "[keep]\nlogs = \"1ms\"\ndeployments = \"1ms\"\ntasks = \"1ms\"\naudit = \"1ms\"\ncommits = \"1ms\"";

async fn count(world: &World, of: &str) -> i64 {
    let store = format!("sqlite://{}?mode=ro", world.path("data/windlass.db").display());
    let pool = sqlx::SqlitePool::connect(&store).await.unwrap();
    let sql = format!("SELECT COUNT(*) AS n FROM {of}");
    let n = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap().get("n");
    pool.close().await;
    n
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_says_is_forgotten_goes_and_what_serves_goes_on() {
    let mut world = World::start_with(AT_ONCE).await;
    let image = world.build(&[]).await;
    for (number, title) in [(1, "first"), (2, "second")] {
        world.release(title, &image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    let ran = world.windlass(&["task", "run", "--", "/sample-app", "--help"]).output().await.unwrap();
    assert!(ran.status.code().is_some(), "{ran:?}");
    world.kill_service().await;
    world.start_service().await;
    let forgotten = async {
        for of in ["deployment_events WHERE kind = 'log'", "task_log", "one_off_tasks", "audit"] {
            while count(&world, of).await > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("it is forgotten");
    let deployments: Vec<DeploymentView> = world.deployments().await;
    assert_eq!(deployments.len(), 2);
    assert!(deployments.iter().all(|it| it.state == DeploymentState::Succeeded && !it.steps.is_empty()));
    assert_eq!(world.deploy("rollback", None).await.state, DeploymentState::Succeeded);
    assert!(world.answer().await.starts_with("release 1 "));
}
