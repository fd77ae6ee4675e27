//! Building with the engine's BuildKit. What the Dockerfiles run is this machine's own bash and sample app: nothing is
//! fetched from anywhere.

mod bench;
mod caches;
mod failures;
mod github_cache;
mod registries;
mod stand_in;
mod tags;

use std::collections::BTreeMap;

use bench::Bench;
use secrecy::SecretString;
use windlass_images::{BuildError, BuildEvent};
use windlass_testing::docker_client::docker;

/// Long enough for anything that happens at all.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

const STAGES: &str = r#"ARG GREETING=nothing
FROM scratch AS base
ADD app.tar /
FROM base AS broken
RUN ["/app", "exit", "1"]
FROM base AS wanted
ARG GREETING
ENV GREETING=$GREETING
RUN ["/app", "print-env", "GREETING"]
FROM base AS last
RUN ["/app", "exit", "1"]
"#;

#[tokio::test]
async fn the_stage_asked_for_is_built_with_its_arguments_and_labels_and_the_others_are_not() {
    let bench = Bench::open().await;
    bench.add_app();
    bench.write("Dockerfile", STAGES);
    let mut request = bench.request();
    request.target = Some("wanted".to_owned());
    let greeting = format!("good \"morning\" $HOME {}", bench.name());
    request.args = BTreeMap::from([("GREETING".to_owned(), greeting.clone())]);
    let source = ("org.opencontainers.image.source".to_owned(), "https://github.com/Acme/Shop".to_owned());
    request.labels = BTreeMap::from([source.clone()]);
    let (id, events) = bench.build(&request).await;
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &request.name]), id.unwrap().to_string());
    let label = format!("{{{{index .Config.Labels \"{}\"}}}}", source.0);
    assert_eq!(docker(&["image", "inspect", "--format", &label, &request.name]), source.1);

    let step = events.step("[wanted 1/1] RUN");
    assert_eq!(events.log(step), [greeting]);
    assert!(events.done(step).is_some());
    assert!(!events.names().any(|name| name.contains("broken") || name.contains("last")), "{events:#?}");
}

#[tokio::test]
async fn a_second_build_says_of_every_step_that_it_was_cached() {
    let bench = Bench::open().await;
    bench.add_app();
    let text = format!("FROM scratch\nADD app.tar /\nRUN [\"/app\", \"echo\", \"{}\"]\n", bench.name());
    bench.write("Dockerfile", &text);
    let request = bench.request();
    let (first, events) = bench.build(&request).await;
    assert_eq!(events.done(events.step("[2/2] RUN")), Some(false));
    let (second, events) = bench.build(&request).await;
    assert_eq!(events.done(events.step("[1/2] ADD")), Some(true));
    assert_eq!(events.done(events.step("[2/2] RUN")), Some(true));
    assert_eq!(first.unwrap(), second.unwrap());
}

#[tokio::test]
async fn only_what_dockerignore_leaves_can_be_copied() {
    let bench = Bench::open().await;
    bench.add_tools();
    for path in ["a", "kept/b", "left/c", "left/d", ".hidden"] {
        bench.write(path, "");
    }
    bench.write(".dockerignore", "*\n!tools\n!kept\n!left/d\n");
    let list = "shopt -s globstar dotglob; cd /all; for file in **; do [[ -d $file ]] || echo $file; done";
    // The name is there for the cache, which would say nothing.
    let list = format!("rm -r /all/tools; {list} # {}", bench.name());
    let text = format!("FROM scratch\nCOPY tools /\nCOPY . /all\nRUN [\"/bin/bash\", \"-c\", \"{list}\"]\n");
    bench.write("Dockerfile", text);
    let (built, events) = bench.build(&bench.request()).await;
    built.unwrap();
    assert_eq!(events.log(events.step("[3/3] RUN")), ["Dockerfile", "kept/b", "left/d"]);
}

#[tokio::test]
async fn a_secret_is_there_for_its_step_and_nowhere_afterwards() {
    let bench = Bench::open().await;
    bench.add_tools();
    let secret = "needle-Zq81\n\"$HOME\" \\ 'x' \u{1}\u{feff}ä\r\n\n";
    let sum = format!("sha256sum </run/secrets/npm.token >/sum; cat /sum # {}", bench.name());
    let run = format!("RUN --mount=type=secret,id=npm.token [\"/bin/bash\", \"-c\", \"{sum}\"]");
    bench.write("Dockerfile", format!("FROM scratch\nCOPY tools /\n{run}\n"));
    let mut request = bench.request();
    request.secrets = BTreeMap::from([("npm.token".to_owned(), SecretString::from(secret))]);
    assert!(!format!("{request:?}").contains("needle"));
    let (built, events) = bench.build(&request).await;
    built.unwrap();
    let sum = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(secret));
    assert_eq!(events.log(events.step("[2/2] RUN")), [format!("{sum}  -")]);

    assert!(!format!("{events:?}").contains("needle"));
    assert!(!docker(&["history", "--no-trunc", &request.name]).contains("needle"));
    assert!(!docker(&["image", "inspect", &request.name]).contains("needle"));
    let saved = bench.save(&request.name);
    assert!(contains(&saved, sum.as_bytes()), "the layers can be searched");
    assert!(!contains(&saved, b"needle"));
}

#[tokio::test]
async fn an_image_for_another_processor_is_built_where_nothing_of_it_must_run() {
    let bench = Bench::open().await;
    bench.write("data", "x");
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    let mut request = bench.request();
    request.platform = Some("linux/arm64".to_owned());
    bench.build(&request).await.0.unwrap();
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &request.name]), "linux/arm64");
}

#[tokio::test]
async fn a_cache_in_the_image_is_kept_and_one_that_nobody_can_keep_is_refused_at_once() {
    let bench = Bench::open().await;
    bench.write("data", "x");
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    let mut request = bench.request();
    request.cache_to = vec!["type=inline".to_owned()];
    // It is not there yet, as before every first build.
    request.cache_from = vec![format!("127.0.0.1:1/{}", bench.name())];
    bench.build(&request).await.0.unwrap();
    assert!(contains(&bench.save(&request.name), b"moby.buildkit.cache.v0"));
    request.cache_to = vec!["type=gha".to_owned()];
    let (refused, events) = bench.build(&request).await;
    assert!(matches!(refused, Err(BuildError::Cache { .. })), "{refused:?}");
    assert_eq!(events.names().count(), 0);
}

/// Calls the port given on the machine that it runs on, which is its way out, and waits for an answer.
const CALL: &str = r#"
while read -r _ destination way _; do
    if [[ $destination == 00000000 ]]; then
        read -r <"/dev/tcp/$((0x${way:6:2})).$((0x${way:4:2})).$((0x${way:2:2})).$((0x${way:0:2}))/$1"
    fi
done </proc/net/route
"#;

#[tokio::test]
async fn dropping_the_call_ends_the_build_on_the_engine() {
    let bench = Bench::open().await;
    bench.add_tools();
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    bench.write("call", CALL);
    let run = format!("RUN [\"/bin/bash\", \"/call\", \"{port}\"]");
    bench.write("Dockerfile", format!("FROM scratch\nCOPY tools /\nCOPY call /\n{run}\n"));
    let (builder, request) = (bench.builder.clone(), bench.request());
    let name = request.name.clone();
    let mut build = tokio::spawn(async move { builder.build(&request, &mut |_: BuildEvent| {}).await });
    let (mut step, _) = tokio::select! {
        called = listener.accept() => called.unwrap(),
        ended = &mut build => panic!("{ended:?}"),
    };
    build.abort();
    assert!(build.await.unwrap_err().is_cancelled());
    // The step holds the other end for as long as it lives.
    let gone = tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read(&mut step, &mut [0; 1])).await;
    let gone = gone.expect("the step goes on");
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    assert_eq!(docker(&["image", "ls", "--quiet", &name]), "");
}

#[tokio::test]
async fn the_engine_says_what_it_is_and_what_is_not_there_is_no_error_to_remove() {
    let bench = Bench::open().await;
    let facts = bench.builder.facts().await.unwrap();
    assert_eq!(facts.version, docker(&["version", "--format", "{{.Server.Version}}"]));
    assert_eq!(facts.platform, docker(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]));
    assert!(facts.api_version.starts_with("1."), "{facts:?}");
    bench.builder.remove(&bench.request().name).await.unwrap();
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
