//! What is built for an app: what windlass.toml says of its stage, and what was asked for otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use windlass_core::config::{AppConfig, ProjectConfig};
use windlass_core::names::{AppName, ImageName};

use crate::error::CommandError;

/// What is built otherwise than windlass.toml says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// From the workspace, not from windlass.toml's folder.
    pub(crate) context: Option<String>,
    pub(crate) dockerfile: Option<String>,
    pub(crate) target: Option<String>,
    /// Laid over windlass.toml's.
    pub(crate) args: BTreeMap<String, String>,
    /// Empty: windlass.toml's.
    pub(crate) platforms: Vec<String>,
    /// The host of the registry.
    pub(crate) registry: Option<String>,
    pub(crate) image_name: Option<String>,
}

/// One image, and how it comes to be. Two apps with equal recipes share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Where it is pushed to. `None`: the engine that builds it is the host's own.
    pub(crate) image: Option<ImageName>,
    /// A folder.
    pub(crate) context: PathBuf,
    /// From the context.
    pub(crate) dockerfile: PathBuf,
    pub(crate) target: Option<String>,
    pub(crate) args: BTreeMap<String, String>,
    /// Names of build secrets.
    pub(crate) secrets: Vec<String>,
    /// Empty: the builder's own.
    pub(crate) platforms: Vec<String>,
}

/// Where things are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folders<'a> {
    /// What is checked out.
    pub(crate) workspace: &'a Path,
    /// Where windlass.toml lies.
    pub(crate) config: &'a Path,
}

impl Recipe {
    /// The recipe of every app that is meant.
    ///
    /// # Errors
    ///
    /// When there is no such app, an image's name cannot be one, or two apps would push different images under one name.
    pub(crate) fn of(
        config: &ProjectConfig,
        only: Option<&AppName>,
        overrides: &Overrides,
        folders: Folders<'_>,
    ) -> Result<BTreeMap<AppName, Self>, CommandError> {
        let meant = |name: &AppName| only.is_none_or(|only| only == name);
        let mut recipes: BTreeMap<AppName, Self> = BTreeMap::new();
        for (name, app) in config.apps.iter().filter(|(name, _)| meant(name)) {
            let recipe = Self::of_app(app, overrides, folders)?;
            for (other, earlier) in &recipes {
                if earlier.image.is_some() && earlier.image == recipe.image && *earlier != recipe {
                    return Err(one_name_for_two(other, name, recipe.image.as_ref()));
                }
            }
            recipes.insert(name.clone(), recipe);
        }
        if let (Some(only), true) = (only, recipes.is_empty()) {
            let known: Vec<&str> = config.apps.keys().map(AppName::as_str).collect();
            return Err(CommandError::misused(format!("windlass.toml has no app {only}; it has {}", known.join(", ")))
                .coded("app_unknown"));
        }
        Ok(recipes)
    }

    /// A job builds from what is checked out, wherever the path to it leads: by `..` or by a link.
    ///
    /// # Errors
    ///
    /// When the context is elsewhere.
    pub(crate) fn expect_within(&self, workspace: &Path) -> Result<(), CommandError> {
        // What is not there is said by whoever looks into it.
        let (Ok(root), Ok(found)) = (workspace.canonicalize(), self.context.canonicalize()) else { return Ok(()) };
        if found.starts_with(root) {
            return Ok(());
        }
        let (context, found) = (self.context.display(), found.display());
        Err(CommandError::misused(format!("the build context {context} is {found}, which is not in the repository"))
            .coded("config_invalid")
            .hint("name a folder of the repository as `build.context`; a link that leads out of it is none"))
    }

    fn of_app(app: &AppConfig, overrides: &Overrides, folders: Folders<'_>) -> Result<Self, CommandError> {
        let build = &app.build;
        let context = match &overrides.context {
            Some(context) => below(folders.workspace, context),
            None => below(folders.config, &build.context),
        };
        let mut args = build.args.clone();
        args.extend(overrides.args.clone());
        Ok(Self {
            image: image(app, overrides)?,
            context,
            dockerfile: overrides.dockerfile.as_ref().unwrap_or(&build.dockerfile).into(),
            target: overrides.target.clone().or_else(|| build.target.clone()),
            args,
            secrets: build.secrets.clone(),
            platforms: if overrides.platforms.is_empty() {
                build.platforms.clone()
            } else {
                overrides.platforms.clone()
            },
        })
    }
}

/// Without a `.` that says nothing: people read the path.
fn below(folder: &Path, path: &str) -> PathBuf {
    if path == "." { folder.to_owned() } else { folder.join(path) }
}

/// `image-name` wins over windlass.toml, and `registry` stands before a name that has none.
fn image(app: &AppConfig, overrides: &Overrides) -> Result<Option<ImageName>, CommandError> {
    let parsed: ImageName = match (&overrides.image_name, &app.image) {
        (Some(name), _) => name.parse().map_err(|error: windlass_core::names::InvalidName| invalid_image(&error))?,
        (None, Some(image)) => image.clone(),
        (None, None) => return Ok(None),
    };
    let host = parsed.as_str().split_once('/').map(|(host, _)| host).filter(|host| *host == parsed.registry());
    match (&overrides.registry, host) {
        (Some(registry), None) => {
            let whole = format!("{}/{parsed}", registry.trim_end_matches('/'));
            whole.parse().map(Some).map_err(|error: windlass_core::names::InvalidName| invalid_image(&error))
        }
        (Some(registry), Some(host)) if registry != host => Err(CommandError::misused(format!(
            "the image's name {parsed} begins with {host}, and the registry is {registry}"
        ))
        .coded("input_invalid")
        .hint("give one of the two")),
        _ => Ok(Some(parsed)),
    }
}

fn invalid_image(error: &windlass_core::names::InvalidName) -> CommandError {
    CommandError::misused(error.to_string())
        .coded("input_invalid")
        .hint("such as `image-name: ghcr.io/acme/shop`, without a tag")
}

fn one_name_for_two(one: &AppName, other: &AppName, image: Option<&ImageName>) -> CommandError {
    let image = image.map(ToString::to_string).unwrap_or_default();
    CommandError::misused(format!(
        "the apps {one} and {other} are built differently, and would both be pushed as {image}"
    ))
    .coded("config_invalid")
    .hint(format!(
        "give each an `image` of its own in windlass.toml, such as `[apps.{other}]` with `image = \"{image}-{other}\"`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::config::ProjectFile;

    fn recipes(
        toml: &str,
        only: Option<&str>,
        overrides: &Overrides,
    ) -> Result<BTreeMap<AppName, Recipe>, CommandError> {
        let config = ProjectFile::parse("windlass.toml", toml).unwrap().resolve(&"production".parse().unwrap());
        let only = only.map(|name| name.parse().unwrap());
        let folders = Folders { workspace: Path::new("/repo"), config: Path::new("/repo/shop") };
        Recipe::of(&config, only.as_ref(), overrides, folders)
    }

    const TWO: &str = "schema = 1\nimage = \"ghcr.io/acme/shop\"\n\
        [apps.api]\nport = 1\nbuild.context = \"api\"\n[apps.web]\nport = 2\nbuild.context = \"web\"\n";

    #[test]
    fn what_is_asked_for_wins_over_windlass_toml() {
        let toml = "schema = 1\nport = 1\nimage = \"ghcr.io/acme/shop\"\n\
            [build]\ncontext = \"app\"\ntarget = \"run\"\nargs = { A = \"1\", B = \"1\" }\n";
        let plain = recipes(toml, None, &Overrides::default()).unwrap().into_values().next().unwrap();
        assert_eq!(plain.context, Path::new("/repo/shop/app"));
        assert_eq!((plain.dockerfile.as_path(), plain.target.as_deref()), (Path::new("Dockerfile"), Some("run")));
        let overrides = Overrides {
            context: Some("other".to_owned()),
            args: [("B".to_owned(), "2".to_owned())].into(),
            registry: Some("registry.example.com:5000".to_owned()),
            image_name: Some("Acme/Shop".to_owned()),
            ..Overrides::default()
        };
        let other = recipes(toml, None, &overrides).unwrap().into_values().next().unwrap();
        assert_eq!(other.context, Path::new("/repo/other"));
        assert_eq!(other.args.values().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(other.image.unwrap().as_str(), "registry.example.com:5000/acme/shop");
    }

    #[test]
    fn rule_083_the_image_s_name_is_lower_case() {
        let overrides = Overrides { image_name: Some("ghcr.io/Acme/Shop".to_owned()), ..Overrides::default() };
        let recipe = recipes("schema = 1\nport = 1\n", None, &overrides).unwrap().into_values().next().unwrap();
        assert_eq!(recipe.image.unwrap().as_str(), "ghcr.io/acme/shop");
    }

    #[test]
    fn two_images_are_not_pushed_under_one_name() {
        let error = recipes(TWO, None, &Overrides::default()).unwrap_err();
        assert_eq!(
            error.summary(),
            "the apps api and web are built differently, and would both be pushed as ghcr.io/acme/shop"
        );
        assert_eq!(recipes(TWO, Some("api"), &Overrides::default()).unwrap().len(), 1);
        let same = TWO.replace("context = \"web\"", "context = \"api\"");
        assert_eq!(recipes(&same, None, &Overrides::default()).unwrap().len(), 2);
    }

    #[test]
    fn an_app_that_is_not_there_is_named_with_those_that_are() {
        let error = recipes(TWO, Some("cart"), &Overrides::default()).unwrap_err();
        assert_eq!(error.summary(), "windlass.toml has no app cart; it has api, web");
    }

    #[test]
    fn a_context_that_leads_out_of_what_is_checked_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("repo");
        std::fs::create_dir_all(workspace.join("apps/api")).unwrap();
        std::os::unix::fs::symlink("/", workspace.join("link")).unwrap();
        let folders = Folders { workspace: &workspace, config: &workspace.join("apps/api") };
        let within = |context: &str| {
            let file = format!("schema = 1\nport = 1\nbuild.context = \"{context}\"\n");
            let config = ProjectFile::parse("windlass.toml", &file).unwrap().resolve(&"production".parse().unwrap());
            let recipes = Recipe::of(&config, None, &Overrides::default(), folders).unwrap();
            recipes.values().all(|recipe| recipe.expect_within(&workspace).is_ok())
        };
        assert!(within(".") && within("../..") && within("../../nowhere"));
        assert!(!within("../../..") && !within("../../link") && !within("../../link/etc") && !within("/etc"));
    }
}
