//! The action's inputs: the only reader of `INPUT_*`. `action.yml` says what each is for; a test keeps both together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;
use windlass_core::names::{AppName, StageName};
use windlass_core::platform;
use windlass_core::quantity::Duration;

use super::pairs::pairs;
use crate::arguments::ReleaseChoice;
use crate::error::CommandError;
use crate::recipe::Overrides;
use crate::target::{PROJECT_FILE, server_url};

/// What the step asks for.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) command: ActionCommand,
    pub(crate) server: Url,
    /// `None`: the job signs in with its OIDC token.
    pub(crate) token: Option<SecretString>,
    pub(crate) stage: Option<StageName>,
    /// `None`: all that windlass.toml has.
    pub(crate) app: Option<AppName>,
    /// Empty: the newest, or the previous one of a rollback.
    pub(crate) release: Vec<ReleaseChoice>,
    pub(crate) reason: Option<String>,
    /// From the workspace.
    pub(crate) config: PathBuf,
    /// What is built otherwise than windlass.toml says.
    pub(crate) overrides: Overrides,
    pub(crate) build_secrets: BTreeMap<String, SecretString>,
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    /// BuildKit's, where a cache needs one of its own. `None`: the official one.
    pub(crate) builder_image: Option<String>,
    pub(crate) registry_username: Option<String>,
    pub(crate) registry_password: Option<SecretString>,
    pub(crate) rebuild: bool,
    pub(crate) wait: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) github_token: Option<SecretString>,
}

/// What the step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionCommand {
    Release,
    Deploy,
    Rollback,
    Status,
}

impl ActionCommand {
    const ALL: [(&'static str, Self); 4] =
        [("release", Self::Release), ("deploy", Self::Deploy), ("rollback", Self::Rollback), ("status", Self::Status)];
}

impl Inputs {
    /// Reads them all. The runner enforces nothing: a required input may be missing, and what is left out is empty.
    ///
    /// # Errors
    ///
    /// With the first input that cannot be used.
    pub(crate) fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let reader = Reader { environment, asked: RefCell::default() };
        read(&reader)
    }
}

fn read(reader: &Reader<'_>) -> Result<Inputs, CommandError> {
    let command = match reader.text("command") {
        Some(name) => ActionCommand::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, command)| command),
        None => Some(ActionCommand::Release),
    }
    .ok_or_else(|| invalid("command", "it is none of release, deploy, rollback and status"))?;
    let server = reader.text("server").ok_or_else(|| {
        CommandError::misused("the input `server` is empty").coded("input_invalid").hint(
            "give the address of your service: `server: https://deploy.example.com`, or a repository variable with it",
        )
    })?;
    let wait = reader.yes_or_no("wait")?.unwrap_or(matches!(command, ActionCommand::Deploy | ActionCommand::Rollback));
    Ok(Inputs {
        command,
        server: server_url(&server).map_err(|error| error.coded("input_invalid"))?,
        token: reader.secret("token"),
        stage: reader.parsed("stage")?,
        app: reader.parsed("app")?,
        release: releases(reader, command)?,
        reason: reader.text("reason"),
        config: reader.text("config").unwrap_or_else(|| PROJECT_FILE.to_owned()).into(),
        overrides: Overrides {
            context: reader.text("context"),
            dockerfile: reader.text("dockerfile"),
            target: reader.text("target"),
            args: pairs(&reader.raw("build-args")).map_err(|why| invalid("build-args", &why))?,
            platforms: platforms(reader)?,
            registry: reader.text("registry"),
            image_name: reader.text("image-name"),
        },
        build_secrets: pairs(&reader.raw("build-secrets"))
            .map_err(|why| invalid("build-secrets", &why))?
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect(),
        cache_from: reader.lines("cache-from"),
        cache_to: reader.lines("cache-to"),
        builder_image: reader.text("builder-image"),
        registry_username: reader.text("registry-username"),
        registry_password: reader.secret("registry-password"),
        rebuild: reader.yes_or_no("rebuild")?.unwrap_or(false),
        wait,
        timeout: reader.parsed("timeout")?,
        github_token: reader.secret("github-token"),
    })
}

/// `12`, `api=12 web=7`, or for a rollback `previous`.
fn releases(reader: &Reader<'_>, command: ActionCommand) -> Result<Vec<ReleaseChoice>, CommandError> {
    let words = reader.words("release");
    if command == ActionCommand::Rollback && words == ["previous"] {
        return Ok(Vec::new());
    }
    words.iter().map(|word| word.parse().map_err(|why: String| invalid("release", &why))).collect()
}

fn platforms(reader: &Reader<'_>) -> Result<Vec<String>, CommandError> {
    let words = reader.words("platforms");
    match words.iter().find_map(|word| platform::check(word).err()) {
        None => Ok(words),
        Some(unknown) => Err(invalid("platforms", &unknown.to_string()).hint(unknown.hint())),
    }
}

struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// Which inputs there are, as far as this program goes.
    asked: RefCell<Vec<&'static str>>,
}

impl Reader<'_> {
    /// As given. The runner makes the name upper-case and keeps hyphens, so that no shell could read it.
    fn raw(&self, name: &'static str) -> String {
        self.asked.borrow_mut().push(name);
        (self.environment)(&format!("INPUT_{}", name.to_uppercase())).unwrap_or_default()
    }

    fn text(&self, name: &'static str) -> Option<String> {
        Some(self.raw(name).trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn secret(&self, name: &'static str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, CommandError> {
        self.text(name).map(|text| text.parse().map_err(|why: T::Err| invalid(name, &why.to_string()))).transpose()
    }

    fn yes_or_no(&self, name: &'static str) -> Result<Option<bool>, CommandError> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(invalid(name, &format!("`{other}` is neither true nor false"))),
        }
    }

    fn lines(&self, name: &'static str) -> Vec<String> {
        self.raw(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn words(&self, name: &'static str) -> Vec<String> {
        let raw = self.raw(name);
        raw.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

fn invalid(name: &str, why: &str) -> CommandError {
    CommandError::misused(format!("the input `{name}` cannot be used: {why}")).coded("input_invalid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(inputs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| inputs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[derive(serde::Deserialize)]
    struct Action {
        inputs: BTreeMap<String, Described>,
    }

    #[derive(serde::Deserialize)]
    struct Described {
        #[serde(default)]
        required: bool,
        #[serde(default)]
        default: Option<String>,
    }

    fn action() -> Action {
        serde_saphyr::from_str(include_str!("../../action.yml")).unwrap()
    }

    #[test]
    fn action_yml_and_the_code_have_the_same_inputs() {
        let environment = given(&[("INPUT_SERVER", "https://deploy.example.com")]);
        let reader = Reader { environment: &environment, asked: RefCell::default() };
        read(&reader).unwrap();
        let mut asked = reader.asked.take();
        asked.sort_unstable();
        assert_eq!(asked, action().inputs.keys().collect::<Vec<_>>());
    }

    #[test]
    fn action_yml_s_defaults_mean_what_an_empty_input_means() {
        let defaults = action().inputs;
        let as_the_runner = |name: &str| {
            let input = name.strip_prefix("INPUT_")?.to_lowercase();
            if input == "server" {
                Some("https://deploy.example.com".to_owned())
            } else {
                defaults[&input].default.clone()
            }
        };
        let empty = |name: &str| (name == "INPUT_SERVER").then(|| "https://deploy.example.com".to_owned());
        let (mut with, mut without) = (Inputs::read(&as_the_runner).unwrap(), Inputs::read(&empty).unwrap());
        assert_eq!(defaults["github-token"].default.as_deref(), Some("${{ github.token }}"));
        (with.github_token, without.github_token) = (None, None);
        assert_eq!(format!("{with:?}"), format!("{without:?}"));
    }

    #[test]
    fn what_action_yml_calls_required_is_required() {
        let required: Vec<String> =
            action().inputs.into_iter().filter(|(_, input)| input.required).map(|(name, _)| name).collect();
        assert_eq!(required, ["server"]);
        let error = Inputs::read(&given(&[("INPUT_SERVER", "  ")])).unwrap_err();
        assert_eq!(error.summary(), "the input `server` is empty");
        assert_eq!(error.code(), Some("input_invalid"));
    }

    #[test]
    fn rule_079_hyphens_stay_in_the_names_that_the_runner_gives() {
        let server = ("INPUT_SERVER", "https://deploy.example.com");
        let image = |name| {
            let inputs = [server, (name, "ghcr.io/acme/shop")];
            Inputs::read(&given(&inputs)).unwrap().overrides.image_name
        };
        assert_eq!(image("INPUT_IMAGE-NAME").as_deref(), Some("ghcr.io/acme/shop"));
        assert_eq!(image("INPUT_IMAGE_NAME"), None);
    }

    #[test]
    fn each_input_that_cannot_be_used_is_named() {
        for (name, value, why) in [
            ("COMMAND", "destroy", "it is none of release, deploy, rollback and status"),
            ("WAIT", "yes", "`yes` is neither true nor false"),
            ("BUILD-ARGS", "RUBY", "line 1 is not KEY=VALUE"),
            ("PLATFORMS", "linux/amd64, linux/vax", "`linux/vax` is not a platform"),
            ("RELEASE", "newest", "expected a release's number, such as 12 or api=12"),
        ] {
            let variable = format!("INPUT_{name}");
            let inputs = [("INPUT_SERVER", "https://deploy.example.com"), (variable.as_str(), value)];
            let summary = Inputs::read(&given(&inputs)).unwrap_err().summary();
            assert_eq!(summary, format!("the input `{}` cannot be used: {why}", name.to_lowercase()));
        }
    }

    #[test]
    fn previous_is_a_rollback_s_word() {
        let read = |command, release| {
            let inputs =
                [("INPUT_SERVER", "https://a.example.com"), ("INPUT_COMMAND", command), ("INPUT_RELEASE", release)];
            Inputs::read(&given(&inputs)).map(|inputs| inputs.release.len())
        };
        assert_eq!(read("rollback", "previous").unwrap(), 0);
        assert_eq!(read("deploy", "api=3, web=4").unwrap(), 2);
        assert!(read("deploy", "previous").is_err());
    }
}
