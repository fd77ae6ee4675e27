//! Caches that the engine's own BuildKit cannot do, and the BuildKit that is started for them. With the real one, as
//! named in `WINDLASS_BUILDKIT_IMAGE`: `cargo test -p windlass-images --test it buildkit -- --ignored`

use std::collections::BTreeMap;

use windlass_core::names::{Digest, ImageName};
use windlass_images::{BuildError, BuildEvent, BuildRequest, CacheMode, CacheProtocol, GitHubCache};
use windlass_registry::RegistryCredentials;
use windlass_testing::docker_client::docker;
use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use super::bench::{Bench, Heard};
use super::github_cache::{GitHubService, SIGNATURE};
use super::stand_in::{Answer, StandIn};
use super::{PATIENCE, contains};

const TOKEN: &str = "a-job-s-token-Zq81";

/// Which asks for a cache that no engine of these tests can do.
fn request(bench: &Bench, builder_image: &str) -> BuildRequest {
    let github = GitHubCache {
        url: "https://results.example.com/".to_owned(),
        protocol: CacheProtocol::V2,
        token: TOKEN.into(),
        mode: CacheMode::ReadAndWrite,
    };
    BuildRequest {
        cache_from: vec!["type=gha".to_owned()],
        cache_to: vec!["type=gha,mode=max".to_owned()],
        github_cache: Some(github),
        cache_scope: "ghcr.io/acme/shop".to_owned(),
        builder_image: Some(builder_image.to_owned()),
        ..bench.request()
    }
}

fn lost(heard: &Heard) -> Vec<&str> {
    heard.caches_lost().collect()
}

#[tokio::test]
async fn a_buildkit_of_its_own_is_told_everything_and_its_image_is_loaded_into_the_engine() {
    let bench = Bench::open().await;
    bench.write("data", bench.name());
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    bench.build(&bench.request()).await.0.unwrap();
    let saved = bench.save(&bench.request().name);
    bench.builder.remove(&bench.request().name).await.unwrap();
    let stand_in = StandIn::start(Answer::Image(saved)).await;
    let mut request = request(&bench, &stand_in.image);
    request.secrets = BTreeMap::from([("npm".to_owned(), "a-secret-of-the-build".into())]);
    let login = RegistryCredentials { username: "bot".to_owned(), password: "a-password".into() };
    request.credentials = BTreeMap::from([("ghcr.io".to_owned(), login)]);
    let (built, heard) = bench.build(&request).await;
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &request.name]), built.unwrap().to_string());
    assert_eq!(lost(&heard), [""; 0]);

    let told = stand_in.told();
    assert!(contains(&told.context, bench.name().as_bytes()));
    assert_eq!(told.secret, b"a-secret-of-the-build");
    assert_eq!((told.username.as_str(), told.password.as_str()), ("bot", "a-password"));
    let [order] = &told.orders[..] else { panic!("{told:#?}") };
    assert_eq!((order.frontend.as_str(), order.exporter_deprecated.as_str()), ("dockerfile.v0", "docker"));
    assert_eq!(order.exporter_attrs_deprecated["name"], request.name);
    let caches = order.cache.as_ref().unwrap();
    let ([from], [to]) = (&caches.imports[..], &caches.exports[..]) else { panic!("{caches:#?}") };
    for entry in [from, to] {
        assert_eq!((entry.r#type.as_str(), entry.attrs["token"].as_str()), ("gha", TOKEN));
        assert_eq!(entry.attrs["url_v2"], "https://results.example.com/");
        assert_eq!(entry.attrs["scope"], "ghcr.io/acme/shop");
    }
    assert_eq!((to.attrs["mode"].as_str(), to.attrs["ignore-error"].as_str()), ("max", "true"));
    assert!(order.frontend_attrs["cache-imports"].contains(TOKEN), "BuildKit fetches what stands here");
    assert!(!format!("{heard:?} {request:?}").contains(TOKEN));
    assert_eq!(stand_in.containers(), [""; 0]);
}

#[tokio::test]
async fn dropping_the_call_ends_the_buildkit_that_was_started_for_it() {
    let bench = Bench::open().await;
    bench.write("Dockerfile", "FROM scratch\nLABEL a=b\n");
    let mut stand_in = StandIn::start(Answer::Nothing).await;
    let (builder, request) = (bench.builder.clone(), request(&bench, &stand_in.image));
    let build = tokio::spawn(async move { builder.build(&request, &mut |_: BuildEvent| {}).await });
    tokio::time::timeout(PATIENCE, stand_in.builds.recv()).await.expect("it begins").unwrap();
    let containers = stand_in.containers();
    let [container] = &containers[..] else { panic!("{containers:?}") };
    let volume = "{{range .Mounts}}{{.Name}}{{end}}";
    let volume = docker(&["inspect", "--format", volume, container]);
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={volume}")]), volume);
    build.abort();
    assert!(build.await.unwrap_err().is_cancelled());
    let gone = async {
        // The engine says that a container ended before it has removed it.
        while !stand_in.containers().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the container goes on");
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={volume}")]), "");
}

#[tokio::test]
async fn without_a_buildkit_for_its_cache_the_engine_builds_without_and_says_so() {
    let bench = Bench::open().await;
    bench.add_tools();
    bench.write("data", bench.name());
    bench.write("Dockerfile", "FROM scratch\nCOPY tools /\n");
    let mut broken = bench.request();
    broken.name = format!("{}:broken", bench.name());
    bench.build(&broken).await.0.unwrap();
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    let missing = format!("127.0.0.1:1/{}", bench.name());
    for (image, why) in [(missing.as_str(), "cannot be had"), (broken.name.as_str(), "the builder container does not")]
    {
        let mut request = request(&bench, image);
        request.cache_to.push("type=inline".to_owned());
        let (built, heard) = bench.build(&request).await;
        assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &request.name]), built.unwrap().to_string());
        assert!(matches!(&lost(&heard)[..], [reason] if reason.contains(why)), "{heard:#?}");
        assert!(contains(&bench.save(&request.name), b"moby.buildkit.cache.v0"), "the other cache is kept");
    }
}

#[tokio::test]
async fn a_cache_that_buildkit_refuses_is_left_out() {
    let bench = Bench::open().await;
    bench.write("data", bench.name());
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    let words = "failed to configure gha cache exporter: invalid token without access controls";
    let stand_in = StandIn::start(Answer::Refusal(words)).await;
    let (built, heard) = bench.build(&request(&bench, &stand_in.image)).await;
    built.unwrap();
    assert_eq!(lost(&heard), [words]);
    assert_eq!(stand_in.containers(), [""; 0]);

    let stand_in = StandIn::start(Answer::Refusal("failed to solve: something else")).await;
    let (failed, _) = bench.build(&request(&bench, &stand_in.image)).await;
    assert!(matches!(&failed, Err(BuildError::Refused { reason, .. }) if reason == "something else"), "{failed:?}");
    assert_eq!(stand_in.containers(), [""; 0]);
}

fn buildkit() -> String {
    let image =
        std::env::var_os("WINDLASS_BUILDKIT_IMAGE").expect("WINDLASS_BUILDKIT_IMAGE names an image of BuildKit");
    image.into_string().unwrap()
}

/// A stage of which nothing is in the image: only `mode=max` keeps its steps.
fn two_stages(bench: &Bench) -> String {
    let run = format!("RUN [\"/app\", \"echo\", \"{}\"]", bench.name());
    format!("FROM scratch AS base\nADD app.tar /\nFROM base AS made\n{run}\nFROM base\nCOPY --from=made /app /made\n")
}

/// What is built again under its name would lose it, and stay.
async fn build_and_remove(bench: &Bench, request: &BuildRequest) -> (Result<Digest, BuildError>, Heard) {
    let built = bench.build(request).await;
    bench.builder.remove(&request.name).await.unwrap();
    built
}

#[tokio::test]
#[ignore = "needs an image of BuildKit"]
async fn buildkit_keeps_its_steps_in_a_registry_with_its_login() {
    let bench = Bench::open().await;
    bench.add_app();
    let registry = Registry::start(Access::Login).await;
    let host = registry.address().to_string();
    let image: ImageName = format!("{host}/{}", bench.name()).parse().unwrap();
    bench.write("Dockerfile", two_stages(&bench));
    let mut request = BuildRequest { builder_image: Some(buildkit()), ..bench.request() };
    request.cache_from = vec![format!("type=registry,ref={image}:cache")];
    request.cache_to = vec![format!("type=registry,ref={image}:cache,mode=max")];
    let (built, heard) = build_and_remove(&bench, &request).await;
    built.unwrap();
    assert!(matches!(&lost(&heard)[..], [_]), "nobody may push: {heard:#?}");
    let login = RegistryCredentials { username: USERNAME.to_owned(), password: PASSWORD.into() };
    request.credentials = BTreeMap::from([(host, login)]);
    let mut images = Vec::new();
    for cached in [false, true] {
        let (built, heard) = build_and_remove(&bench, &request).await;
        images.push(built.unwrap());
        assert_eq!(heard.done(heard.step("[made 1/1] RUN")), Some(cached), "{heard:#?}");
        assert_eq!(lost(&heard), [""; 0]);
    }
    assert_eq!(images[0], images[1]);
}

#[tokio::test]
#[ignore = "needs an image of BuildKit"]
async fn buildkit_keeps_its_steps_in_github_s_cache_and_a_full_one_stops_nothing() {
    let bench = Bench::open().await;
    bench.add_app();
    // The way out of this machine, which containers reach too.
    let way_out = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    way_out.connect("192.0.2.1:9").unwrap();
    let service = GitHubService::start(&way_out.local_addr().unwrap().ip().to_string()).await;
    bench.write("Dockerfile", two_stages(&bench));
    let mut request = request(&bench, &buildkit());
    request.github_cache = Some(service.cache());
    for cached in [false, true] {
        let (built, heard) = build_and_remove(&bench, &request).await;
        built.unwrap();
        assert_eq!(heard.done(heard.step("[made 1/1] RUN")), Some(cached), "{heard:#?}");
        assert_eq!(lost(&heard), [""; 0]);
    }
    assert!(service.keys().iter().any(|key| key.starts_with("index-ghcr.io/acme/shop-")), "{:?}", service.keys());
    service.fill();
    bench.write("Dockerfile", two_stages(&bench).replace("\"echo\"", "\"echo\", \"again\""));
    let (built, heard) = build_and_remove(&bench, &request).await;
    built.unwrap();
    assert!(matches!(&lost(&heard)[..], [reason] if reason.contains("403")), "{heard:#?}");
    assert!(!format!("{heard:?}").contains(SIGNATURE));
}
