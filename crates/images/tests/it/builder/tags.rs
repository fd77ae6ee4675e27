//! What the engine has pushed, as its registry has it.

use windlass_core::names::{Digest, ImageName};
use windlass_registry::Registry;
use windlass_testing::docker_client::docker;
use windlass_testing::registry::{self, Access};

use super::bench::Bench;

const HERE: &str = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };

impl Bench {
    /// An image with these bytes in it, pushed under this tag: its id, and its digest at the registry.
    async fn pushed(&self, image: &ImageName, tag: &str) -> (Digest, Digest) {
        self.write("data", format!("{} {tag}", self.name()));
        self.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
        let mut request = self.request();
        request.name = format!("{image}:{tag}");
        let id = self.build(&request).await.0.unwrap();
        (id, self.builder.push(image, tag, None, &mut |_| {}).await.unwrap())
    }
}

async fn open() -> (Bench, registry::Registry, ImageName) {
    let (bench, process) = (Bench::open().await, registry::Registry::start(Access::Open).await);
    let image = format!("{}/{}", process.address(), bench.name()).parse().unwrap();
    (bench, process, image)
}

#[tokio::test]
async fn a_tag_has_the_digest_that_the_engine_pushed() {
    let (bench, _process, image) = open().await;
    let (_, pushed) = bench.pushed(&image, "1.0").await;
    let registry = Registry::new(&image, None).unwrap();
    assert_eq!(registry.digest("1.0").await.unwrap(), Some(pushed));
    assert_eq!(registry.digest("1.1").await.unwrap(), None);
}

#[tokio::test]
async fn a_tag_is_moved_to_what_is_there_under_its_digest() {
    let (bench, _process, image) = open().await;
    let (_, pushed) = bench.pushed(&image, "1").await;
    let registry = Registry::new(&image, None).unwrap();
    assert_eq!(registry.digest("latest").await.unwrap(), None);
    for _ in 0..2 {
        registry.tag(&pushed, "latest").await.unwrap();
        assert_eq!(registry.digest("latest").await.unwrap(), Some(pushed.clone()));
    }
    let unknown: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    assert!(registry.tag(&unknown, "latest").await.is_err());
    assert_eq!(registry.digest("latest").await.unwrap(), Some(pushed));
}

#[tokio::test]
async fn images_of_several_platforms_become_one_that_engines_pull() {
    let (bench, _process, image) = open().await;
    let (id, here) = bench.pushed(&image, "here").await;
    let (other, there) = bench.pushed(&image, "there").await;
    let registry = Registry::new(&image, None).unwrap();
    let platforms = [("linux/s390x".to_owned(), there), (HERE.to_owned(), here)];
    let digest = registry.push_index("1.0", &platforms).await.unwrap();
    assert_eq!(registry.digest("1.0").await.unwrap().as_ref(), Some(&digest));

    for id in [&id, &other] {
        bench.builder.remove(id.as_str()).await.unwrap();
    }
    let both = format!("{image}@{digest}");
    docker(&["pull", "--quiet", &both]);
    let pulled = docker(&["image", "inspect", "--format", "{{.Id}}", &both]);
    docker(&["image", "rm", &both]);
    assert_eq!(pulled, id.as_str(), "this machine's, not the other's");
}
