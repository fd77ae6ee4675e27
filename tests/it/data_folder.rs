//! The data folder: whose it is, who may look into it, and what happens when its store is lost or older than the world.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use windlass_core::deployment::DeploymentState;

use crate::world::{PATIENCE, World, end_at_once, stage_path, start_windlass};

const STORE: [&str; 3] = ["windlass.db", "windlass.db-wal", "windlass.db-shm"];

async fn store(world: &World) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(world.path("data/windlass.db")).busy_timeout(PATIENCE);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

fn lose_the_store(world: &World) {
    for file in STORE {
        let _ = fs::remove_file(world.path("data").join(file));
    }
}

/// How a command ends that is not meant to go on, and what it says.
async fn ends(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::time::timeout(PATIENCE, world.windlass(arguments).output()).await.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn until_logged(world: &World, text: &str) {
    let logged = async {
        while !world.service_log().contains(text) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, logged).await.is_ok(), "{text:?} is not logged:\n{}", world.service_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_110_a_store_restored_from_a_backup_goes_on_above_what_its_host_knows_and_the_next_deployment_goes_through()
 {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    world.release("first", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    world.kill_service().await;
    let pool = store(&world).await;
    let backup = world.path("backup.db").display().to_string();
    sqlx::query("VACUUM INTO ?").bind(backup).execute(&pool).await.unwrap();
    pool.close().await;
    world.start_service().await;
    for (number, title) in [(2, "second"), (3, "third")] {
        world.release(title, &image, &world.config()).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    world.kill_service().await;
    lose_the_store(&world);
    fs::copy(world.path("backup.db"), world.path("data/windlass.db")).unwrap();
    world.start_service().await;

    until_logged(&world, "the store is behind what runs").await;
    let stale: serde_json::Value = world.get(&format!("{}/stale", stage_path())).await;
    assert!(stale.to_string().contains("\"release\":3"), "what it does not know is not passed over: {stale}");
    let release = world.release("after", &image, &world.config()).await;
    assert_eq!(release.number.0, 4, "the numbers that were given are not given again");
    assert!(world.answer().await.starts_with("release 3 "), "nothing goes back by itself");
    let deployment = world.deploy("deploy", Some(4)).await;
    assert_eq!(deployment.state, DeploymentState::Succeeded, "{deployment:?}");
    assert!(world.answer().await.starts_with("release 4 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_110_a_service_whose_store_is_gone_or_empty_does_not_begin_anew_unless_it_is_told_to() {
    let mut world = World::start().await;
    let image = world.build(&[]).await;
    world.release("first", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    world.kill_service().await;
    let config = world.path("windlass-server.toml").display().to_string();
    let serve = ["serve", "--config", &config];
    lose_the_store(&world);
    let (status, said) = ends(&world, &serve).await;
    assert_eq!(status, Some(2), "{said}");
    for words in ["windlass.db is gone", "fingerprint.key", "gateway-a.json", "backup", "serve --new"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!world.path("data/windlass.db").exists());
    File::create(world.path("data/windlass.db")).unwrap();
    let (status, said) = ends(&world, &serve).await;
    assert!(status == Some(2) && said.contains("windlass.db is empty"), "{said}");
    let (status, said) = ends(&world, &["token", "list", "--config", &config]).await;
    assert!(status == Some(2) && said.contains("windlass.db is empty"), "{said}");

    let log = world.path("serve.log");
    let file = world.path("windlass-server.toml");
    let anew = start_windlass("serve", &file, &["--new"], &log, world.service_address).await;
    until_logged(&world, "containers of other installations").await;
    assert!(world.service_log().contains(&world.engine.installation().to_string()));
    end_at_once([anew].into_iter());
    let (status, said) = ends(&world, &["serve", "--new", "--config", &config]).await;
    assert!(status == Some(2) && said.contains("a store in"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_beside_a_service_of_another_version_leaves_the_store_as_it_is() {
    let mut world = World::start().await;
    let config = world.path("windlass-server.toml").display().to_string();
    let create = ["token", "create", "--config", &config, "--name", "another", "--scopes", "read"];
    assert_eq!(ends(&world, &create).await.0, Some(0), "beside one of the same version there are tokens");
    world.kill_service().await;
    // The older service: it has the folder, and its store misses the newest change.
    let folder = File::options().write(true).open(world.path("data/serve.lock")).unwrap();
    folder.lock().unwrap();
    let pool = store(&world).await;
    let newest = "FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    sqlx::query(sqlx::AssertSqlSafe(format!("DELETE {newest}"))).execute(&pool).await.unwrap();
    let changes = async || {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
        row.get::<i64, _>("n")
    };
    let before = changes().await;
    for command in
        [&create[..], &["token", "list", "--config", &config], &["token", "revoke", "1", "--config", &config]]
    {
        let (status, said) = ends(&world, command).await;
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("schema") && said.contains("older version is running"), "{said}");
    }
    assert_eq!(changes().await, before);
    let copies = fs::read_dir(world.path("data")).unwrap().map(|file| file.unwrap().file_name());
    assert!(!copies.into_iter().any(|name| name.to_string_lossy().starts_with("windlass.before-")));

    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, execution_time {newest}"
    )))
    .execute(&pool)
    .await
    .unwrap();
    drop(folder);
    let (status, said) = ends(&world, &["serve", "--config", &config]).await;
    assert!(status == Some(2) && said.contains("schema 9999"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_and_the_gateway_keep_is_nobody_elses_to_read() {
    let mut world = World::start().await;
    world.kill_service().await;
    world.kill_gateway().await;
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(&world.path("data"), 0o755);
    for file in fs::read_dir(world.path("data")).unwrap() {
        open(&file.unwrap().path(), 0o644);
    }
    world.start_gateway().await;
    world.start_service().await;
    let image = world.build(&[]).await;
    world.release("first", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&world.path("data")), 0o700);
    assert_eq!(mode(&world.path("gateway.sock")), 0o600);
    let files: Vec<_> = fs::read_dir(world.path("data")).unwrap().map(|file| file.unwrap().path()).collect();
    for name in ["windlass.db", "windlass.db-wal", "fingerprint.key", "gateway-a.json", "serve.lock"] {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name}: {files:?}");
    }
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
