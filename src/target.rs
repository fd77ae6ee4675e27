//! What a command is about: which server, which stage of which project, which app. What the command line and the
//! environment leave open is read from `windlass.toml` and the Git remote of the folder.

use std::path::Path;

use url::Url;
use windlass_core::config::ProjectFile;
use windlass_core::names::{AppName, StageName};
use windlass_core::stage::Stage;

use crate::arguments::Where;
use crate::checkout::project_of_origin;
use crate::client::{Client, is_loopback};
use crate::error::CommandError;

/// Where a project's file lies.
pub(crate) const PROJECT_FILE: &str = "windlass.toml";

/// A stage on a server.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) stage: Stage,
    app: Option<AppName>,
}

impl Where {
    /// The server, for commands that need no more.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        let server = given(self.server.as_deref())
            .ok_or_else(|| CommandError::misused("no server is given").hint("set WINDLASS_SERVER, or pass --server"))?;
        let server = server_url(server)?;
        let token = self.token.clone().ok_or_else(|| {
            CommandError::misused("no token is given")
                .hint("set WINDLASS_TOKEN, or pass --token; `windlass token create` on the server makes one")
        })?;
        Client::new(server, Some(token))
    }

    /// The stage and its server.
    pub(crate) fn target(&self) -> Result<Target, CommandError> {
        let client = self.client()?;
        Ok(Target { client, stage: self.stage_address()?, app: self.app.clone() })
    }

    fn stage_address(&self) -> Result<Stage, CommandError> {
        let project = match given(self.project.as_deref()) {
            Some(project) => project.parse()?,
            None => project_of_origin(Path::new(".")).ok_or_else(|| {
                CommandError::misused("no project is given, and this folder has no Git remote `origin` to tell it")
                    .hint("pass --project owner/name, or set WINDLASS_PROJECT")
            })?,
        };
        let stage = match given(self.stage.as_deref()) {
            Some(stage) => stage.parse()?,
            None => stage_of_file()?,
        };
        Ok(Stage { project, name: stage })
    }
}

impl Target {
    /// The app, for commands that are about one.
    pub(crate) fn app(&self) -> Result<AppName, CommandError> {
        if let Some(app) = &self.app {
            return Ok(app.clone());
        }
        let Some(file) = read_project_file(Path::new(PROJECT_FILE), PROJECT_FILE)? else {
            return Ok(AppName::unnamed());
        };
        let config = file.resolve(&self.stage.name);
        let names: Vec<&AppName> = config.apps.keys().collect();
        match names[..] {
            [only] => Ok(only.clone()),
            _ => {
                let names: Vec<&str> = names.into_iter().map(AppName::as_str).collect();
                Err(CommandError::misused(format!("{PROJECT_FILE} has several apps: {}", names.join(", ")))
                    .hint("say which with --app"))
            }
        }
    }

    /// The app, where one was named.
    pub(crate) const fn named_app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }
}

/// An empty variable is as good as none.
pub(crate) fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// A token may be sent there: https, or this machine.
pub(crate) fn server_url(text: &str) -> Result<Url, CommandError> {
    // Before an @ may stand a password.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let wrong = |why: String| {
        CommandError::misused(format!("the server's address `{shown}` cannot be used: {why}"))
            .hint("give --server (or WINDLASS_SERVER) as https://deploy.example.com")
    };
    let url: Url = text.parse().map_err(|error: url::ParseError| wrong(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(wrong("plain http would send the token readable through the network".to_owned())),
        scheme => return Err(wrong(format!("`{scheme}` is not https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a password; the token goes into WINDLASS_TOKEN".to_owned()));
    }
    Ok(url)
}

/// The project's file; `None` where there is none. `shown` is what mistakes are shown under.
pub(crate) fn read_project_file(path: &Path, shown: &str) -> Result<Option<ProjectFile>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(ProjectFile::parse(shown, &text)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// A configuration file that cannot be read is a wrong configuration.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::misused(format!("cannot read {}", path.display())).caused_by(error)
}

fn stage_of_file() -> Result<StageName, CommandError> {
    let hint = "pass --stage, or set WINDLASS_STAGE";
    let Some(file) = read_project_file(Path::new(PROJECT_FILE), PROJECT_FILE)? else {
        let message = format!("no stage is given, and there is no {PROJECT_FILE} here to tell it");
        return Err(CommandError::misused(message).hint(hint));
    };
    stage_of(&file).ok_or_else(|| {
        let stages: Vec<&StageName> = file.stages().collect();
        let names: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
        let known = if names.is_empty() { "names none".to_owned() } else { format!("names {}", names.join(", ")) };
        CommandError::misused(format!("no stage is given, and {PROJECT_FILE} {known}")).hint(hint)
    })
}

/// The stage that a file leaves no doubt about: its only one, or `production`.
pub(crate) fn stage_of(file: &ProjectFile) -> Option<StageName> {
    let stages: Vec<&StageName> = file.stages().collect();
    let chosen = match stages[..] {
        [only] => Some(only),
        _ => stages.into_iter().find(|stage| stage.as_str() == "production"),
    };
    chosen.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_over_https_or_within_this_machine() {
        for good in ["https://deploy.example.com", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080"] {
            assert!(server_url(good).is_ok(), "{good}");
        }
        for wrong in ["http://deploy.example.com", "ftp://127.0.0.1", "deploy.example.com", "https://a:b@example.com"] {
            assert!(server_url(wrong).is_err(), "{wrong}");
        }
        let told = server_url("https://ci:hunter2@example.com").map_err(|error| error.summary());
        assert!(told.is_err_and(|told| told.contains("example.com") && !told.contains("hunter2")));
    }
}
