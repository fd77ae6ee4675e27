//! What a repository names of a host is what it is there.

use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use windlass_core::config::Volume;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::hint::Hint;
use windlass_core::secrets::Secrets;
use windlass_core::task::{TaskSpec, TaskStatus};
use windlass_engine::Engine;
use windlass_testing::docker_client::docker;

use crate::lab::Lab;

/// A folder that a project may mount, with what its app has put there.
struct Shop {
    lab: Lab,
    folder: TempDir,
    engine: Engine,
}

impl Shop {
    async fn open() -> Self {
        let (lab, folder) = (Lab::open().await, tempfile::tempdir().unwrap());
        let engine = lab.engine.clone().with_mountable(vec![folder.path().display().to_string()]);
        for name in ["uploads/images", "secrets"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { lab, folder, engine }
    }

    fn path(&self, path: &str) -> String {
        self.folder.path().join(path).display().to_string().trim_end_matches('/').to_owned()
    }

    fn task(&self, name: &str, path: &str, read_only: bool) -> TaskSpec {
        let mut task = self.lab.task(name);
        task.volumes = vec![Volume { source: self.path(path), target: "/x".to_owned(), read_only }];
        task
    }

    async fn boot(&self, task: &TaskSpec) -> Result<(), Failure> {
        self.engine.boot(task, &Secrets::default()).await.map(drop)
    }

    async fn is_refused(&self, task: &TaskSpec, why: &str) {
        let failure = self.boot(task).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::BootFailed);
        assert!(failure.summary.contains(why) && failure.hint.is_some(), "{why}: {failure:?}");
    }

    async fn names(&self) -> Vec<String> {
        self.engine.observe().await.unwrap().into_iter().map(|task| task.name).collect()
    }
}

fn link(target: &str, path: &str) {
    symlink(target, Path::new(path)).unwrap();
}

#[tokio::test]
async fn rule_103_a_link_below_an_allowed_folder_leads_nowhere() {
    let shop = Shop::open().await;
    link("/etc", &shop.path("link"));
    link("secrets", &shop.path("beside"));
    link("/", &shop.path("uploads/all"));
    link("/etc/passwd", &shop.path("file"));
    let refusals = [
        ("link", "link is a symbolic link to /etc".to_owned()),
        ("link/ssl", "link is a symbolic link to /etc".to_owned()),
        ("uploads/all/run/docker.sock", "uploads/all is a symbolic link to /".to_owned()),
        ("file", "file is a symbolic link to /etc/passwd".to_owned()),
        ("beside", format!("a symbolic link to {}", shop.path("secrets"))),
        ("uploads/none", format!("there is no {}", shop.path("uploads/none"))),
    ];
    for (path, why) in refusals {
        shop.is_refused(&shop.task("web-1", path, false), &why).await;
        assert_eq!(shop.names().await, [""; 0], "{path}: nothing is left");
    }
    shop.boot(&shop.task("web-1", "uploads/images", false)).await.unwrap();
    assert_eq!(shop.names().await, [shop.lab.name("web-1")], "the look is over");
}

#[tokio::test]
async fn rule_103_the_allowed_folder_itself_may_be_a_link_and_without_a_word_no_link_is_followed() {
    let shop = Shop::open().await;
    link(&shop.path("uploads"), &shop.path("current"));
    let named = |name: &str, path: &str| {
        let mut task = shop.lab.task(name);
        task.volumes = vec![Volume { source: shop.path(path), target: "/x".to_owned(), read_only: true }];
        task
    };
    let of_operator = shop.lab.engine.clone().with_mountable(vec![shop.path("current")]);
    of_operator.boot(&named("web-1", "current"), &Secrets::default()).await.unwrap();
    of_operator.boot(&named("web-2", "current/images"), &Secrets::default()).await.unwrap();
    let failure = shop.lab.engine.boot(&named("web-3", "current"), &Secrets::default()).await.unwrap_err();
    assert!(failure.summary.contains("symbolic link"), "{failure:?}");
}

#[tokio::test]
async fn rule_103_a_container_that_was_made_earlier_is_looked_at_again_before_it_starts() {
    let shop = Shop::open().await;
    let task = shop.task("web-1", "uploads/images", false);
    shop.boot(&task).await.unwrap();
    docker(&["kill", &task.name]);
    std::fs::remove_dir(shop.path("uploads/images")).unwrap();
    link("/etc", &shop.path("uploads/images"));
    let error = shop.engine.revive(&task.name).await.unwrap_err();
    assert!(error.to_string().contains("is a symbolic link to /etc") && error.hint().is_some(), "{error}");
    let failure = shop.engine.boot_again(&task, &Secrets::default()).await.unwrap_err();
    assert!(failure.summary.contains("is a symbolic link to /etc"), "{failure:?}");
    assert_eq!(shop.engine.look(&task.name).await.unwrap().status, TaskStatus::Stopped);
}

#[tokio::test]
async fn rule_103_nobody_runs_who_could_exchange_what_another_mounts() {
    let shop = Shop::open().await;
    let (above, below) = (shop.task("above", "", false), shop.task("below", "uploads/images", false));
    shop.boot(&above).await.unwrap();
    shop.is_refused(&below, &format!("{} has {} writable", above.name, shop.path(""))).await;
    // One that Docker may start again at any time is no better.
    shop.engine.keep(&above.name).await.unwrap();
    docker(&["stop", "--time", "0", &above.name]);
    shop.is_refused(&below, &format!("{} has {} writable", above.name, shop.path(""))).await;
    shop.engine.remove(&above.name).await.unwrap();
    shop.boot(&below).await.unwrap();
    shop.is_refused(&above, &format!("{} mounts {}", below.name, shop.path("uploads/images"))).await;
    shop.boot(&shop.task("reader", "", true)).await.unwrap();
    shop.boot(&shop.task("same", "uploads/images", false)).await.unwrap();
}

#[tokio::test]
async fn rule_103_somebody_elses_container_and_a_volume_that_is_bound_to_a_path_count_too() {
    let shop = Shop::open().await;
    let (stranger, volume) = (shop.lab.name("stranger"), shop.lab.name("volume"));
    let image = shop.lab.image.reference();
    let device = format!("device={}", shop.path("uploads"));
    docker(&["volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", &device, &volume]);
    let mount = format!("{volume}:/x");
    docker(&["run", "--detach", "--name", &stranger, "--network", "none", "--volume", &mount, &image]);
    let below = shop.boot(&shop.task("web-1", "uploads/images", true)).await;
    let beside = shop.boot(&shop.task("web-2", "secrets", false)).await;
    docker(&["rm", "--force", &stranger]);
    let mut by_volume = shop.lab.task("web-3");
    by_volume.volumes = vec![Volume { source: volume.clone(), target: "/x".to_owned(), read_only: true }];
    let fine = shop.boot(&by_volume).await;
    let above = shop.boot(&shop.task("web-4", "", false)).await;
    shop.engine.remove(&by_volume.name).await.unwrap();
    std::fs::rename(shop.path("uploads"), shop.path("moved")).unwrap();
    link("/etc", &shop.path("uploads"));
    let exchanged = shop.boot(&by_volume).await;
    docker(&["volume", "rm", &volume]);

    let refused = |done: Result<(), Failure>, why: &str| {
        let failure = done.unwrap_err();
        assert!(failure.summary.contains(why), "{failure:?}");
    };
    refused(below, &format!("{stranger} has {} writable", shop.path("uploads")));
    beside.unwrap();
    fine.unwrap();
    refused(above, &format!("{} mounts {}", by_volume.name, shop.path("uploads")));
    refused(exchanged, "is a symbolic link to /etc");
}
