//! The server's file with its secrets read: all that is missing is reported at once, before anything starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use secrecy::{ExposeSecret, SecretString};
use windlass_core::config::{GitHubAuth, SecretSource, ServerConfig};
use windlass_core::names::StageName;
use windlass_core::stage::Stage;
use windlass_registry::RegistryCredentials;

use crate::github::GitHubCredentials;

/// Where the API's address may come from instead of the file.
const GITHUB_API_URL: &str = "GITHUB_API_URL";

/// The configuration as the service runs with it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) server: ServerConfig,
    /// As what the service speaks to GitHub.
    pub(crate) github: GitHubCredentials,
    /// Any of them signs a delivery.
    pub(crate) webhook_secrets: Vec<SecretString>,
    /// Of the account that the authority of certificates has elsewhere.
    pub(crate) acme_key: Option<SecretString>,
    /// By registry: account and password.
    pub(crate) registries: BTreeMap<String, (String, SecretString)>,
    /// By stage: the values of the app's secrets.
    pub(crate) stage_secrets: BTreeMap<Stage, BTreeMap<String, SecretString>>,
}

/// Where the process' environment is read; a test brings its own.
pub(crate) type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Everything that is missing.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct SettingsError {
    /// One sentence each, with the key.
    pub problems: Vec<String>,
}

impl Settings {
    /// Reads every secret that the file names.
    pub(crate) async fn load(mut server: ServerConfig, environment: Environment<'_>) -> Result<Self, SettingsError> {
        let mut reader = SecretReader { environment, problems: Vec::new() };
        if let Some(url) = environment(GITHUB_API_URL).filter(|url| !url.is_empty()) {
            match url.parse() {
                Ok(url) => server.github.api_url = url,
                Err(error) => reader.problems.push(format!("{GITHUB_API_URL}: `{url}` is not a URL: {error}")),
            }
        }
        let github = match &server.github.auth {
            GitHubAuth::Token(source) => GitHubCredentials::Token(reader.secret("github.token", source).await),
            GitHubAuth::App { id, private_key } => {
                GitHubCredentials::App { id: *id, private_key: reader.secret("github.private-key", private_key).await }
            }
        };
        let mut webhook_secrets = Vec::new();
        for (index, source) in server.github.webhook_secrets.iter().enumerate() {
            webhook_secrets.push(reader.secret(&format!("github.webhook-secrets[{index}]"), source).await);
        }
        let acme_key = match server.acme.as_ref().and_then(|acme| acme.external_account.as_ref()) {
            Some(account) => Some(reader.secret("acme.external-account.key", &account.key).await),
            None => None,
        };
        let mut registries = BTreeMap::new();
        for (registry, credentials) in &server.registries {
            let password = reader.secret(&format!("registries.\"{registry}\".password"), &credentials.password).await;
            registries.insert(registry.clone(), (credentials.username.clone(), password));
        }
        let mut stage_secrets = BTreeMap::new();
        for (project, policy) in &server.projects {
            for (stage, policy) in &policy.stages {
                let key = Stage { project: project.clone(), name: stage.clone() };
                let values = reader.stage(&key.project.to_string(), stage, &policy.secrets).await;
                stage_secrets.insert(key, values);
            }
        }
        if reader.problems.is_empty() {
            Ok(Self { server, github, webhook_secrets, acme_key, registries, stage_secrets })
        } else {
            Err(SettingsError { problems: reader.problems })
        }
    }

    /// The values that an app's tasks get.
    pub(crate) fn secrets_for(&self, stage: &Stage, names: &[String]) -> BTreeMap<String, SecretString> {
        let Some(known) = self.stage_secrets.get(stage) else { return BTreeMap::new() };
        names.iter().filter_map(|name| Some((name.clone(), known.get(name)?.clone()))).collect()
    }

    /// How registries are logged in to.
    pub(crate) fn registries(&self) -> BTreeMap<String, RegistryCredentials> {
        let credentials = |(registry, (username, password)): (&String, &(String, SecretString))| {
            (registry.clone(), RegistryCredentials { username: username.clone(), password: password.clone() })
        };
        self.registries.iter().map(credentials).collect()
    }
}

/// Reads secrets and collects what goes wrong.
struct SecretReader<'a> {
    environment: Environment<'a>,
    problems: Vec<String>,
}

impl SecretReader<'_> {
    async fn stage(
        &mut self,
        project: &str,
        stage: &StageName,
        sources: &BTreeMap<String, SecretSource>,
    ) -> BTreeMap<String, SecretString> {
        let mut values = BTreeMap::new();
        for (name, source) in sources {
            let key = format!("projects.\"{project}\".stages.{stage}.secrets.{name}");
            values.insert(name.clone(), self.secret(&key, source).await);
        }
        values
    }

    /// An empty secret is as good as none: it would accept everybody.
    async fn secret(&mut self, key: &str, source: &SecretSource) -> SecretString {
        let read = match source {
            SecretSource::File(path) => file(path).await.map(less_one_line_end),
            SecretSource::Env(name) => (self.environment)(name)
                .ok_or_else(|| format!("the environment variable {name} is not set, or no text")),
            SecretSource::Command(command) => output(command).await.map(less_one_line_end),
        };
        match read {
            // It is a variable, a header or a key: none of them can have one.
            Ok(value) if value.contains('\0') => self.missing(key, "there is a NUL character in it"),
            Ok(value) if !value.trim().is_empty() => value.into(),
            Ok(_) => self.missing(key, "it is empty"),
            Err(why) => self.missing(key, &why),
        }
    }

    fn missing(&mut self, key: &str, why: &str) -> SecretString {
        self.problems.push(format!("{key}: there is no secret: {why}"));
        SecretString::default()
    }
}

/// Editors and commands end what they write with one; it is none of the value.
fn less_one_line_end(mut value: String) -> String {
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    value
}

async fn file(path: &Path) -> Result<String, String> {
    tokio::fs::read_to_string(path).await.map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

async fn output(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("its command is empty")?;
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program}` ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("what `{program}` printed is not text"))
}

/// A keyed fingerprint of a stage's secrets: tells whether they changed, and nothing of what they are.
pub(crate) fn fingerprint(key: &[u8], secrets: &BTreeMap<String, SecretString>) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for (name, value) in secrets {
        for part in [name.as_bytes(), value.expose_secret().as_bytes()] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
    }
    hex::encode(mac.finalize().into_bytes())
}
