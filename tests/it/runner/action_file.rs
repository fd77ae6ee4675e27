//! `action.yml`, as the runner understands it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// What a step of this action is made of.
#[derive(Deserialize)]
pub(super) struct ActionFile {
    inputs: BTreeMap<String, Input>,
    runs: Runs,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    default: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    image: String,
    entrypoint: Option<String>,
    args: Option<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

impl ActionFile {
    pub(super) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
        let file: Self = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((file.runs.using.as_str(), file.runs.image.as_str()), ("docker", "Dockerfile"));
        file
    }

    /// `INPUT_*`: every input, the empty ones too. The runner makes names upper-case and spaces underscores, and leaves
    /// hyphens alone. It does not enforce `required`.
    pub(super) fn inputs(&self, given: &BTreeMap<String, String>, token: &str) -> BTreeMap<String, String> {
        if let Some(unknown) = given.keys().find(|name| !self.inputs.contains_key(*name)) {
            panic!("action.yml has no input `{unknown}`");
        }
        let value =
            |name: &str, input: &Input| given.get(name).cloned().unwrap_or_else(|| evaluate(&input.default, token));
        let variable = |name: &str| format!("INPUT_{}", name.to_uppercase().replace(' ', "_"));
        self.inputs.iter().map(|(name, input)| (variable(name), value(name, input))).collect()
    }

    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        self.runs.env.clone()
    }

    pub(super) fn entrypoint(&self) -> Option<&str> {
        self.runs.entrypoint.as_deref()
    }

    pub(super) fn args(&self) -> Option<&[String]> {
        self.runs.args.as_deref()
    }
}

/// The only expression that a default of ours may have.
fn evaluate(text: &str, token: &str) -> String {
    let value = text.replace("${{ github.token }}", token);
    assert!(!value.contains("${{"), "this runner does not know the expression in `{text}`");
    value
}
