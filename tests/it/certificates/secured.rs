//! A world whose gateways end TLS, with an authority. Its containers are played: they are not what is looked at.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use windlass_core::api::{CertificateView, DeploymentView};
use windlass_core::deployment::DeploymentState;
use windlass_testing::authority::{Pebble, Temper};
use windlass_testing::docker::{App, FakeEngine};
use windlass_testing::free_address;

use super::traffic::Traffic;
use crate::operate::done;
use crate::world::{HOST, PATIENCE, World, end_at_once, stage_path, start_windlass};

/// What is different from a good day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) validity: Duration,
    pub(super) bad_nonces: u8,
    pub(super) customers_only: bool,
    /// The authority comes to a second host's gateway, which does not serve what is asked for.
    pub(super) challenged_at_b: bool,
}

impl Default for Day {
    fn default() -> Self {
        Self { validity: Duration::from_secs(24 * 3600), bad_nonces: 5, customers_only: false, challenged_at_b: false }
    }
}

pub(super) struct Secured {
    pub(super) world: World,
    pub(super) pebble: Pebble,
    https: SocketAddr,
    digest: String,
    b: Option<Child>,
    _engines: [FakeEngine; 2],
    _folder: TempDir,
}

impl Secured {
    pub(super) async fn start(challenges: &[&str], day: Day) -> Self {
        let digest = format!("sha256:{}", "cd".repeat(32));
        let engines = [FakeEngine::start("a", 1).await, FakeEngine::start("b", 2).await];
        for engine in &engines {
            engine.add_image(&digest, App::healthy());
        }
        let (http, https, http_of_b, https_of_b) = (free_address(), free_address(), free_address(), free_address());
        let (asked, shaken) = if day.challenged_at_b { (http_of_b, https_of_b) } else { (http, https) };
        let Day { validity, bad_nonces, customers_only, .. } = day;
        let temper = Temper { http: asked, https: shaken, validity, customers_only, bad_nonces };
        let pebble = Pebble::start(temper).await;
        let folder = tempfile::Builder::new().prefix("windlass-b-").tempdir().unwrap();
        let b = format!(
            "[hosts.b]\ndocker = \"unix://{}\"\nnetworks = \"{}\"\n\
             gateway = {{ http = \"{http_of_b}\", https = \"{https_of_b}\", control = \"{}\" }}\n",
            engines[1].socket().display(),
            engines[1].networks(),
            folder.path().join("b.sock").display(),
        );
        let b = if day.challenged_at_b { b } else { String::new() };
        let more = format!("{b}{}", pebble.section(challenges));
        let edit = move |text: &str| {
            let plain = format!("gateway = {{ http = \"{http}\"");
            text.replace(&format!("urls = [\"{HOST}\"]"), "urls = [\"*.example.com\"]")
                .replace("branch = \"main\"", "branch = \"main\"\nhosts = [\"a\"]")
                .replace(&plain, &format!("gateway = {{ https = \"{https}\", http = \"{http}\""))
        };
        let world = World::start_edited(engines[0].socket(), Some(&engines[0].networks()), &more, http, &edit).await;
        let b = if day.challenged_at_b {
            let (config, log) = (world.path("windlass-server.toml"), world.path("gateway-b.log"));
            Some(start_windlass("gateway", &config, &["--host", "b"], &log, http_of_b).await)
        } else {
            None
        };
        Self { world, pebble, https, digest, b, _engines: engines, _folder: folder }
    }

    /// Registers a release with these https names.
    pub(super) async fn release(&self, names: &[String]) -> u64 {
        let urls: Vec<String> = names.iter().map(|name| format!("\"https://{name}/\"")).collect();
        let config = self.world.config().replace(&format!("\"http://{HOST}/\""), &urls.join(", "));
        self.world.release("names", &self.digest.parse().unwrap(), &config).await.number.0
    }

    pub(super) async fn begin(&self, release: u64) -> String {
        let body = serde_json::json!({ "kind": "deploy", "releases": { "default": release } });
        let started: DeploymentView = self.world.post(&format!("{}/deployments", stage_path()), &body).await;
        started.id.as_str().to_owned()
    }

    /// Makes a release with these https names active.
    pub(super) async fn deploy(&self, names: &[String]) -> String {
        let id = self.begin(self.release(names).await).await;
        let ended = self.world.until_ended(&id).await;
        assert_eq!(ended.state, DeploymentState::Succeeded, "{:?}\n{}", ended.failure, self.logs());
        id
    }

    /// A client that trusts what the authority signs, and comes anew each time.
    pub(super) async fn client(&self) -> reqwest::Client {
        let own = reqwest::Certificate::from_pem(&self.pebble.own_authority()).unwrap();
        let asker = reqwest::Client::builder().tls_certs_only([own]).build().unwrap();
        let root = asker.get(self.pebble.root_url()).send().await.unwrap().bytes().await.unwrap();
        let root = reqwest::Certificate::from_pem(&root).unwrap();
        self.client_with(reqwest::Client::builder().tls_certs_only([root]))
    }

    fn client_with(&self, builder: reqwest::ClientBuilder) -> reqwest::Client {
        let names = (0..10).map(|number| format!("n{number}")).chain(["shop", "any"].map(str::to_owned));
        names
            .fold(builder, |builder, name| builder.resolve(&format!("{name}.example.com"), self.https))
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    }

    /// Asks the app at a name by https.
    pub(super) async fn answers(&self, client: &reqwest::Client, name: &str) -> Result<(), reqwest::Error> {
        client.get(self.url(name)).send().await?.error_for_status().map(drop)
    }

    /// Asks again and again, each time by a connection of its own, whoever signed what is shown.
    pub(super) fn traffic(&self, name: &str) -> Traffic {
        let client = self.client_with(reqwest::Client::builder().tls_danger_accept_invalid_certs(true));
        Traffic::start(client, self.url(name))
    }

    fn url(&self, name: &str) -> String {
        format!("https://{name}:{}/up", self.https.port())
    }

    pub(super) async fn certificate(&self, name: &str) -> CertificateView {
        let all = self.world.stage().await.certificates;
        all.into_iter().find(|shown| shown.name == name).unwrap()
    }

    pub(super) async fn until_certificate(
        &self,
        name: &str,
        is_so: impl Fn(&CertificateView) -> bool,
    ) -> CertificateView {
        let begun = Instant::now();
        loop {
            let shown = self.certificate(name).await;
            if is_so(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "{shown:#?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is kept of a name.
    pub(super) fn kept(&self, name: &str) -> Value {
        let files = files_below(&self.world.path("data/acme"));
        let file = files.iter().find(|file| file.ends_with(format!("{name}.json"))).unwrap();
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// What host a's gateway has on its disk of certificates is lost.
    pub(super) fn lose_certificates_of_gateway(&self) {
        for entry in std::fs::read_dir(self.world.path("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("gateway-a") {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }

    pub(super) async fn deployment_log(&self, id: &str) -> String {
        let answer = self.world.request(reqwest::Method::GET, &format!("/deployments/{id}/log")).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    pub(super) async fn status(&self) -> String {
        done(&self.world, &["status"]).await
    }

    pub(super) async fn doctor(&self) -> String {
        let file = self.world.path("windlass-server.toml").display().to_string();
        let output = self.world.windlass(&["doctor", "--config", &file]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    pub(super) fn logs(&self) -> String {
        let gateway = std::fs::read_to_string(self.world.path("gateway.log")).unwrap_or_default();
        format!("{}\n--- gateway ---\n{gateway}\n--- authority ---\n{}", self.world.service_log(), self.pebble.log())
    }

    /// A key is in its own file of the service's, and in its gateway's; nowhere else, and nobody else may look there.
    pub(super) async fn assert_keys_are_nowhere_else(&self, certificates: usize) {
        use std::os::unix::fs::PermissionsExt;
        let own = files_below(&self.world.path("data/acme"));
        let mut secrets = Vec::new();
        for file in &own {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
            let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let pem = kept["certificate"]["key"].as_str().and_then(|pem| pem.lines().nth(1));
            secrets.extend(pem.map(str::to_owned));
            secrets.extend(kept["credentials"]["key_pkcs8"].as_str().map(|key| key[..60].to_owned()));
        }
        assert_eq!(secrets.len(), certificates + 1, "and the account's");
        let is_gateways = |path: &PathBuf| {
            let parent = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            parent.starts_with("gateway-")
        };
        let mut texts: Vec<(String, Vec<u8>)> = files_below(self.world.folder.path())
            .into_iter()
            .filter(|file| !own.contains(file) && !is_gateways(file))
            .map(|file| (file.display().to_string(), std::fs::read(&file).unwrap()))
            .collect();
        for path in [stage_path(), format!("{}/deployments", stage_path()), "/hosts".to_owned()] {
            let answer = self.world.request(reqwest::Method::GET, &path).send().await.unwrap();
            texts.push((path, answer.bytes().await.unwrap().to_vec()));
        }
        for (place, text) in &texts {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains("PRIVATE KEY"), "{place}");
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{place}");
        }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        end_at_once(self.b.take().into_iter());
    }
}

fn files_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}
