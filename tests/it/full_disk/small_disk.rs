//! A disk of a few megabytes, which a test fills. Only root can mount one; whoever is not root needs sudo without a
//! password.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::sync::Mutex;

use crate::docker_restart::as_root;
use crate::world::{PATIENCE, World};

pub(super) struct SmallDisk {
    folder: PathBuf,
    full: Arc<AtomicBool>,
    filler: Mutex<Option<JoinHandle<()>>>,
}

impl SmallDisk {
    pub(super) fn at(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let me = std::fs::metadata("/proc/self").unwrap();
        let options = format!("size=16m,mode=0700,uid={},gid={}", me.uid(), me.gid());
        let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output().unwrap();
        assert!(mounted.status.success(), "mount: {}", String::from_utf8_lossy(&mounted.stderr));
        Self { folder, full: Arc::default(), filler: Mutex::default() }
    }

    /// What the service and the gateway have lies on it from now on.
    pub(super) async fn under_the_data_of(world: &mut World) -> Self {
        world.kill_service().await;
        world.kill_gateway().await;
        let (data, before) = (world.path("data"), world.path("data-before"));
        std::fs::rename(&data, &before).unwrap();
        let disk = Self::at(data.clone());
        for file in std::fs::read_dir(&before).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), data.join(file.file_name())).unwrap();
        }
        world.start_gateway().await;
        world.start_service().await;
        disk
    }

    /// Full, and full again whenever something makes room. The store's log of writes has no room of its own left over.
    pub(super) async fn fill(&self) {
        let store = self.folder.join("windlass.db");
        if store.exists() {
            without_room_in_its_log(&store).await;
        }
        let (full, path) = (Arc::clone(&self.full), self.filler_file());
        full.store(true, Ordering::Relaxed);
        let mut file = File::create(path).unwrap();
        let filler = std::thread::spawn(move || {
            let (large, small) = ([0; 65536], [0; 512]);
            while full.load(Ordering::Relaxed) {
                while file.write(&large).is_ok() || file.write(&small).is_ok() {}
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        *self.filler.lock().await = Some(filler);
    }

    pub(super) fn make_room(&self) {
        self.full.store(false, Ordering::Relaxed);
        if let Some(filler) = self.filler.try_lock().ok().and_then(|mut filler| filler.take()) {
            filler.join().unwrap();
        }
        std::fs::remove_file(self.filler_file()).unwrap();
    }

    fn filler_file(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

async fn without_room_in_its_log(store: &Path) {
    let options = SqliteConnectOptions::new().filename(store).busy_timeout(PATIENCE);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let emptied = async {
        while sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&pool).await.unwrap().get::<i64, _>(0) != 0 {}
    };
    tokio::time::timeout(PATIENCE, emptied).await.expect("readers end");
    pool.close().await;
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.full.store(false, Ordering::Relaxed);
        // Those who have files on it may still run.
        let _ = as_root("umount").arg("--lazy").arg(&self.folder).output();
    }
}
