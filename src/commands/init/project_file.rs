//! `windlass.toml` as a beginning: what was found out, and the next keys as comments.

use toml::Value;
use windlass_core::config::ProjectFile;
use windlass_core::names::StageName;
use windlass_images::dockerfile::Health;

use super::apps::App;
use crate::error::CommandError;
use crate::target::PROJECT_FILE;

/// The file's text, which has been parsed once.
pub(super) fn write(apps: &[App], stage: &StageName, target: Option<&str>) -> Result<String, CommandError> {
    let mut text = format!(
        "# {PROJECT_FILE}: what the app is. `windlass config` checks it, `windlass config --reference` prints every \
         key.\nschema = 1\n"
    );
    match apps {
        [app] => text += &app_keys(app, target),
        _ => {
            for app in apps {
                text += &format!("\n[apps.{}]\n{}", app.name, app_keys(app, target));
            }
        }
    }
    text += &format!("\n# What is different on a stage: any key from above.\n[stages.{stage}]\n");
    ProjectFile::parse(PROJECT_FILE, &text)?;
    Ok(text)
}

fn app_keys(app: &App, target: Option<&str>) -> String {
    let mut lines = vec![format!("image = {}", quoted(app.image.as_str()))];
    let context = (app.context != ".").then(|| format!("context = {}", quoted(&app.context)));
    let dockerfile = app.dockerfile.as_ref().map(|file| format!("dockerfile = {}", quoted(file)));
    let target = target.map(|target| format!("target = {}", quoted(target)));
    let build: Vec<String> = context.into_iter().chain(dockerfile).chain(target).collect();
    if !build.is_empty() {
        lines.push(format!("build = {{ {} }}", build.join(", ")));
    }
    lines.push("# Its address, which the server's file has to allow.".to_owned());
    lines.push("# url = \"https://shop.example.com\"".to_owned());
    lines.push(format!("port = {}", app.port));
    match &app.health {
        Some(Health::Path(path)) => lines.push(format!("health = {{ path = {} }}", quoted(path))),
        Some(Health::Docker) => lines.push("health = { docker = true }".to_owned()),
        None => {
            lines.push("# Without it, a task is healthy when its port accepts a connection.".to_owned());
            lines.push("# health = { path = \"/up\" }".to_owned());
        }
    }
    lines.push("# Names of secrets; their values are on the server.".to_owned());
    lines.push("# secrets = [\"DATABASE_URL\"]".to_owned());
    lines.push("# Runs once per release, before anything of it serves.".to_owned());
    lines.push("# migrate = { command = [\"bin/migrate\"] }".to_owned());
    lines.join("\n") + "\n"
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
