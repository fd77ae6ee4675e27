//! The workflows of `workflows/`, with the repository's own values in the places of the examples'.

use windlass_core::names::StageName;

use super::apps::App;

const DEPLOY: &str = include_str!("../../../workflows/deploy.yml");
const ROLLBACK: &str = include_str!("../../../workflows/rollback.yml");

/// For whoever copies them by hand.
const ADVICE: &str = "#\n# To use it: ";

pub(super) fn deploy(apps: &[App], stage: &StageName, branch: &str) -> String {
    let mut text = without_advice(DEPLOY);
    text = put(&text, "branches: [main]", &format!("branches: [{}]", pattern(branch)));
    text = put(&text, "stage: production\n", &format!("stage: {}\n{}", scalar(stage.as_str()), more_inputs(apps)));
    if !apps.iter().all(pushes_to_ghcr) {
        text = put(&text, "      packages: write # for the image on ghcr.io\n", "");
    }
    if apps.len() > 1 {
        text = put(&text, "name: Build and register\n", "name: Build and register ${{ matrix.app }}\n");
        let matrix = format!(
            "    strategy:\n      fail-fast: false\n      matrix:\n        app: [{}]\n    runs-on: ",
            names(apps).join(", ")
        );
        text = put(&text, "    runs-on: ", &matrix);
    }
    text
}

pub(super) fn rollback(apps: &[App], stage: &StageName) -> String {
    let mut text = without_advice(ROLLBACK);
    let mut options = format!("options:\n          - {}\n", scalar(stage.as_str()));
    if apps.len() > 1 {
        options +=
            "      app:\n        description: App\n        type: choice\n        required: true\n        options:\n";
        options.extend(names(apps).iter().map(|name| format!("          - {name}\n")));
        let stage = "stage: ${{ inputs.stage }}\n";
        text = put(&text, stage, &format!("{stage}          app: ${{{{ inputs.app }}}}\n"));
    }
    put(&text, "options:\n          - production\n", &options)
}

/// What the release needs to be told beside its stage.
fn more_inputs(apps: &[App]) -> String {
    let mut inputs = String::new();
    if apps.len() > 1 {
        inputs += "          app: ${{ matrix.app }}\n";
    }
    if !apps.iter().all(pushes_to_ghcr) {
        inputs += "          registry-username: ${{ vars.REGISTRY_USERNAME }}\n";
        inputs += "          registry-password: ${{ secrets.REGISTRY_PASSWORD }}\n";
    }
    inputs
}

/// There, the job's own token signs in.
pub(super) fn pushes_to_ghcr(app: &App) -> bool {
    app.image.registry() == "ghcr.io"
}

fn names(apps: &[App]) -> Vec<String> {
    apps.iter().map(|app| scalar(app.name.as_str())).collect()
}

fn without_advice(template: &str) -> String {
    let advice = template.split_once(ADVICE).and_then(|(_, rest)| rest.split_once('\n')).map(|(advice, _)| advice);
    advice.map_or_else(|| template.to_owned(), |advice| template.replacen(&format!("{ADVICE}{advice}\n"), "", 1))
}

fn put(text: &str, example: &str, own: &str) -> String {
    text.replacen(example, own, 1)
}

/// A filter's pattern that only this branch matches.
fn pattern(branch: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '+' | '[' | ']' | '!');
    scalar(&branch.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>())
}

/// A string in YAML: quoted where it could be read as something else.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.'));
    let word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain && !word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_stands_in_its_workflow_once() {
        for example in
            ["branches: [main]", "stage: production\n", "    runs-on: ", "name: Build and register\n", ADVICE]
        {
            assert_eq!(DEPLOY.matches(example).count(), 1, "{example}");
        }
        assert_eq!(DEPLOY.matches("      packages: write # for the image on ghcr.io\n").count(), 1);
        for example in ["options:\n          - production\n", "stage: ${{ inputs.stage }}\n", ADVICE] {
            assert_eq!(ROLLBACK.matches(example).count(), 1, "{example}");
        }
    }

    #[test]
    fn a_branch_matches_itself_alone_and_stays_a_string() {
        for (branch, written) in [
            ("main", "main"),
            ("release/1.0", "release/1.0"),
            ("1.0", "\"1.0\""),
            ("on", "\"on\""),
            ("c++", r#""c\\+\\+""#),
            ("a,b", "\"a,b\""),
            ("fix#1", "\"fix#1\""),
        ] {
            assert_eq!(pattern(branch), written);
        }
    }
}
