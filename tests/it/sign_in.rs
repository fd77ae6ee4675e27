//! Jobs of GitHub Actions: who is let in, and as what.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_core::api::StageView;
use windlass_testing::github::{Failure, FakeJob, Forgery, NewJob};

use crate::world::{PROJECT, STAGE, World, stage_path};

/// What was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    fn said(&self) -> &str {
        self.body["title"].as_str().unwrap_or_default()
    }

    fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

async fn send(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    Answer { status, body: serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default() }
}

fn request(world: &World, method: Method, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().request(method, format!("http://{}/api/v1{path}", world.service_address))
}

/// Exchanges a token for a stage's.
async fn sign_in_to(world: &World, stage: &str, token: &str) -> Answer {
    let body = json!({ "token": token, "project": PROJECT, "stage": stage });
    send(request(world, Method::POST, "/auth/oidc").json(&body)).await
}

async fn sign_in(world: &World, token: &str) -> Answer {
    sign_in_to(world, STAGE, token).await
}

fn audience(world: &World) -> String {
    format!("http://{}", world.service_address)
}

/// A job that has signed in.
pub(crate) struct Job<'a> {
    world: &'a World,
    pub(crate) job: FakeJob,
    session: String,
}

impl<'a> Job<'a> {
    pub(crate) async fn start(world: &'a World, job: NewJob) -> Self {
        Self::of(world, world.repository.start_job(job)).await
    }

    /// As the action does it: the token comes from the runner.
    pub(crate) async fn of(world: &'a World, job: FakeJob) -> Self {
        let url = format!("{}&audience={}", job.token_request_url(), audience(world));
        let given = send(reqwest::Client::new().get(url).bearer_auth(job.token_request_token())).await;
        let answer = sign_in(world, given.body["value"].as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { world, job, session: answer.body["token"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(request(self.world, Method::GET, path).bearer_auth(&self.session)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(request(self.world, Method::POST, path).bearer_auth(&self.session).json(body)).await
    }

    pub(crate) async fn register(&self, commit: &str, digest: &str, more: Value) -> Answer {
        let mut body = json!({ "commit": commit, "digest": digest, "config": self.world.config() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(&format!("{}/apps/default/releases", stage_path()), &body).await
    }
}

fn digest(character: char) -> String {
    format!("sha256:{}", character.to_string().repeat(64))
}

fn asked_for_keys(world: &World) -> usize {
    world.github.requests().iter().filter(|request| request.path.ends_with("/jwks")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_072_only_what_github_signed_for_this_service_is_accepted_and_only_in_its_time() {
    let world = World::start().await;
    let job = world.repository.start_job(NewJob::on_push(&world.repository.head("main")));
    let aud = audience(&world);
    let now = jiff::Timestamp::now().as_second();
    for (good, claims) in [
        ("as it is", json!({})),
        ("a clock that is behind", json!({ "nbf": now + 30 })),
        ("a clock that is ahead", json!({ "exp": now - 30 })),
        ("several audiences", json!({ "aud": ["https://other.example.com", aud] })),
    ] {
        let answer = sign_in(&world, &job.token_saying(&aud, claims)).await;
        assert_eq!(answer.status, 200, "{good}: {answer:?}");
        assert!(answer.body["token"].as_str().unwrap().starts_with("wns_"), "{good}");
    }
    for (claims, why) in [
        (json!({ "aud": "https://github.com/acme" }), "is not meant for"),
        (json!({ "aud": format!("{aud}/") }), "is not meant for"),
        (json!({ "aud": null }), "has no `aud`"),
        (json!({ "iss": "https://token.actions.githubusercontent.com" }), "is not from"),
        (json!({ "iss": null }), "has no `iss`"),
        (json!({ "exp": now - 120 }), "expired at"),
        (json!({ "exp": null }), "not those of a job"),
        (json!({ "nbf": now + 180 }), "is not good before"),
        (json!({ "jti": null }), "not those of a job"),
    ] {
        let answer = sign_in(&world, &job.token_saying(&aud, claims.clone())).await;
        assert_eq!(answer.code(), (401, "unauthenticated"), "{claims}: {answer:?}");
        assert!(answer.said().contains(why), "{claims}: {answer:?}");
    }
    for (forgery, why) in [
        (Forgery::WrongKey, "signature is wrong"),
        (Forgery::UnknownKey, "has no key"),
        (Forgery::Hs256, "signed with HS256"),
        (Forgery::Unsigned, "not a JSON web token"),
    ] {
        let answer = sign_in(&world, &world.github.forge(forgery, &job.claims(&aud))).await;
        assert_eq!(answer.code(), (401, "unauthenticated"), "{forgery:?}: {answer:?}");
        assert!(answer.said().contains(why), "{forgery:?}: {answer:?}");
    }
    for nonsense in ["", "wns_1", "a.b.c", "..", "\u{0}"] {
        assert_eq!(sign_in(&world, nonsense).await.status, 401, "{nonsense:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_072_a_new_key_is_read_once_and_unknown_ones_do_not_keep_the_issuer_busy() {
    let world = World::start().await;
    let job = world.repository.start_job(NewJob::on_push(&world.repository.head("main")));
    let aud = audience(&world);
    for _ in 0..3 {
        assert_eq!(sign_in(&world, &job.token(&aud)).await.status, 200);
    }
    assert_eq!(asked_for_keys(&world), 1);
    let of_the_old_key = job.token(&aud);
    world.github.rotate_oidc_keys();
    assert_eq!(sign_in(&world, &job.token(&aud)).await.status, 200, "the new key is asked for");
    assert_eq!(sign_in(&world, &of_the_old_key).await.status, 401, "the old one is gone");
    for _ in 0..3 {
        let forged = world.github.forge(Forgery::UnknownKey, &job.claims(&aud));
        assert_eq!(sign_in(&world, &forged).await.status, 401);
    }
    assert_eq!(asked_for_keys(&world), 2, "within a minute once");
    assert_eq!(sign_in(&world, &job.token(&aud)).await.status, 200, "known keys are good meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_does_not_answer_refuses_nobody() {
    let world = World::start().await;
    let job = world.repository.start_job(NewJob::on_push(&world.repository.head("main")));
    world.github.fail_next(Method::GET, "*/jwks", Failure::status(502));
    let answer = sign_in(&world, &job.token(&audience(&world))).await;
    assert_eq!(answer.code(), (503, "oidc_unavailable"), "{answer:?}");
    assert!(answer.body["hint"].as_str().unwrap().contains("try again"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_073_a_repository_is_its_id_whatever_its_name_and_its_subject_are() {
    let world = World::start().await;
    let aud = audience(&world);
    let namesake = world.github.add_repository(PROJECT);
    let stranger = namesake.start_job(NewJob::on_push(&namesake.head("main")));
    let refused = sign_in(&world, &stranger.token(&aud)).await;
    assert_eq!(refused.code(), (403, "policy_refused"), "{refused:?}");
    for said in ["repository_id", &namesake.id().to_string(), &world.repository.id().to_string()] {
        assert!(refused.said().contains(said), "{refused:?}");
    }
    let job = world.repository.start_job(NewJob::on_push(&world.repository.head("main")));
    for claims in [
        json!({ "sub": format!("repo:acme@7/shop@{}:ref:refs/heads/main", world.repository.id()) }),
        json!({ "sub": "repo_property:team:shop%3Aweb:job_workflow_ref:x" }),
        json!({ "sub": null }),
        json!({ "repository": "acme/shop-that-was-renamed" }),
    ] {
        let answer = sign_in(&world, &job.token_saying(&aud, claims.clone())).await;
        assert_eq!(answer.status, 200, "{claims}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_074_the_stage_says_which_events_refs_and_environments_may_sign_in() {
    let world = World::start().await;
    let aud = audience(&world);
    let head = world.repository.head("main");
    let with = |change: fn(&mut NewJob)| {
        let mut job = NewJob::on_push(&head);
        change(&mut job);
        let job = world.repository.start_job(job);
        let token = job.token(&aud);
        let world = &world;
        async move { sign_in(world, &token).await }
    };
    assert_eq!(with(|job| job.event = "workflow_dispatch".to_owned()).await.status, 200);
    assert_eq!(with(|job| job.environment = Some(STAGE.to_owned())).await.status, 200);
    for (answer, claim, was, allowed) in [
        (
            with(|job| job.event = "pull_request".to_owned()).await,
            "event_name",
            "pull_request",
            "push, workflow_dispatch",
        ),
        (with(|job| job.branch = "feature/main".to_owned()).await, "ref", "refs/heads/feature/main", "refs/heads/main"),
        (with(|job| job.environment = Some("staging".to_owned())).await, "environment", "staging", STAGE),
    ] {
        assert_eq!(answer.code(), (403, "policy_refused"), "{answer:?}");
        assert!(answer.said().contains(&format!("`{claim}` is {was}; allowed here: {allowed}")), "{answer:?}");
        assert!(answer.body["hint"].is_string(), "{answer:?}");
    }
    let job = world.repository.start_job(NewJob::on_push(&head));
    assert_eq!(sign_in_to(&world, "nowhere", &job.token(&aud)).await.code(), (404, "stage_unknown"));
    let log = world.service_log();
    assert!(log.contains("was not let in") && log.contains("refs/heads/feature/main"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_075_a_job_registers_only_what_it_runs_on() {
    let world = World::start().await;
    let (other, commit) = (world.repository.head("main"), world.repository.push("main", "next"));
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    let refused = job.register(&other, &digest('a'), json!({})).await;
    assert_eq!(refused.code(), (403, "policy_refused"), "{refused:?}");
    assert!(refused.said().contains(&other) && refused.said().contains(&commit), "{refused:?}");
    let registered = job.register(&commit, &digest('a'), json!({})).await;
    assert_eq!((registered.status, &registered.body["created_by"]), (201, &json!("octavia")), "{registered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_076_a_token_is_exchanged_for_one_stage_and_the_same_request_has_the_same_answer() {
    let staging = format!("[projects.\"{PROJECT}\".stages.staging]\nbranch = \"main\"");
    let mut world = World::start_with(&staging).await;
    let job = world.repository.start_job(NewJob::on_push(&world.repository.head("main")));
    let token = job.token(&audience(&world));
    let first = sign_in(&world, &token).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(sign_in(&world, &token).await, first);
    world.kill_service().await;
    world.start_service().await;
    assert_eq!(sign_in(&world, &token).await, first, "a new process gives it too, though it has not kept it");
    let elsewhere = sign_in_to(&world, "staging", &token).await;
    assert_eq!(elsewhere.code(), (401, "unauthenticated"), "{elsewhere:?}");
    assert!(elsewhere.said().contains("exchanged before"), "{elsewhere:?}");
    let claims = job.claims(&audience(&world));
    let jti = &claims["jti"];
    let one = job.token_saying(&audience(&world), json!({ "jti": jti }));
    let other = job.token_saying(&audience(&world), json!({ "jti": jti, "run_id": "7" }));
    assert_eq!(sign_in(&world, &one).await.status, 200);
    assert_eq!(sign_in(&world, &other).await.status, 401, "another token with the same jti");
    assert_eq!(sign_in_to(&world, "staging", &job.token(&audience(&world))).await.status, 200, "a new one is good");

    let session = first.body["token"].as_str().unwrap();
    for file in ["data/windlass.db", "data/windlass.db-wal", "serve.log"] {
        let stored = std::fs::read(world.path(file)).unwrap_or_default();
        let stored = String::from_utf8_lossy(&stored);
        assert!(!stored.contains(session) && !stored.contains(&token), "{file}");
    }
    let log = world.service_log();
    assert!(log.contains("a job signed in") && log.contains("octavia"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_077_a_job_that_runs_again_finds_its_release_and_only_a_rebuild_makes_another() {
    let world = World::start().await;
    let commit = world.repository.head("main");
    let path = format!("{}/apps/default/releases?commit={commit}", stage_path());
    let first = Job::start(&world, NewJob::on_push(&commit)).await;
    assert_eq!(first.get(&path).await.body["items"], json!([]));
    assert_eq!(first.register(&commit, &digest('a'), json!({})).await.body["number"], 1);
    let again = Job::of(&world, first.job.again()).await;
    let found = again.get(&path).await;
    assert_eq!((&found.body["items"][0]["number"], &found.body["items"][1]), (&json!(1), &Value::Null), "{found:?}");
    let same = again.register(&commit, &digest('a'), json!({})).await;
    assert_eq!((same.status, &same.body["number"]), (200, &json!(1)), "{same:?}");
    let other = again.register(&commit, &digest('b'), json!({})).await;
    assert_eq!(other.code(), (409, "digest_conflict"), "{other:?}");
    let rebuilt = again.register(&commit, &digest('b'), json!({ "rebuild": true })).await;
    assert_eq!((rebuilt.status, &rebuilt.body["number"]), (201, &json!(2)), "{rebuilt:?}");
    let newest = again.get(&path).await;
    assert_eq!((&newest.body["items"][0]["number"], &newest.body["items"][1]), (&json!(2), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_token_is_for_its_stage_alone() {
    let staging =
        format!("[projects.\"{PROJECT}\".stages.staging]\nbranch = \"next\"\ndeploy-on = [\"push\", \"merge\"]");
    let world = World::start_with(&staging).await;
    let job = Job::start(&world, NewJob::on_push(&world.repository.head("main"))).await;
    let here = job.get(&stage_path()).await;
    assert_eq!(here.status, 200, "{here:?}");
    let view: StageView = serde_json::from_value(here.body.clone()).unwrap();
    assert_eq!(view.policy.branch, "main");
    assert_eq!(here.body["policy"], json!({ "branch": "main", "deploy_on": ["merge"], "production": true }));
    let there = format!("/projects/{PROJECT}/stages/staging");
    let staging: Value = world.get(&there).await;
    assert_eq!(staging["policy"], json!({ "branch": "next", "deploy_on": ["push", "merge"], "production": false }));
    let elsewhere = job.get(&there).await;
    assert_eq!(elsewhere.code(), (403, "forbidden"), "{elsewhere:?}");
    assert_eq!(job.get("/hosts").await.code(), (403, "forbidden"));
    let deployed = job.post(&format!("{there}/deployments"), &json!({})).await;
    assert_eq!(deployed.code(), (403, "forbidden"), "{deployed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_time_is_turned_away_and_told_the_services_version() {
    let world = World::start().await;
    let own = env!("CARGO_PKG_VERSION");
    let with = |path: &str, version: &str| send(world.request(Method::GET, path).header("windlass-version", version));
    for version in [own, "0.0.9", "unreleased", ""] {
        assert_eq!(with(&stage_path(), version).await.status, 200, "{version}");
    }
    for (version, advice) in [("0.9.0", "update the service"), ("17.0.0", "update the service")] {
        let refused = with(&stage_path(), version).await;
        assert_eq!(refused.code(), (400, "version_unsupported"), "{refused:?}");
        assert!(refused.said().contains(own) && refused.said().contains(version), "{refused:?}");
        assert!(refused.body["hint"].as_str().unwrap().contains(advice), "{refused:?}");
        assert_eq!(with("/version", version).await.status, 200);
    }
    let exchange = request(&world, Method::POST, "/auth/oidc").header("windlass-version", "0.9.0").json(&json!({}));
    assert_eq!(send(exchange).await.code(), (400, "version_unsupported"));
}
