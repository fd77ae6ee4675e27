//! The service's routes, read from its route table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const METHODS: [&str; 8] = ["get", "post", "put", "delete", "patch", "head", "options", "any"];

/// Method and path of each, as the table writes them.
pub(super) fn of_the_service() -> BTreeSet<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhook/src/http.rs");
    let text = fs::read_to_string(file).unwrap();
    let (pages, api) = text.split_once("fn api()").expect("the API has a table of its own");
    for other in [".merge(", ".route_service(", ".nest_service(", ".fallback_service("] {
        assert!(!text.contains(other), "`{other}` brings routes that this does not read");
    }
    assert_eq!(text.matches(".nest(").count(), 1, "only the API is nested");
    let stage = api.split_once("const S: &str = \"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let api = routes(api, stage).into_iter().map(|(method, path)| (method, format!("/api/v1{path}")));
    routes(pages, "").into_iter().chain(api).collect()
}

fn routes(text: &str, stage: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in text.split(".route(").skip(1) {
        let call = balanced(piece);
        let (path, handlers) = call.split_once(',').unwrap();
        let written = path.split('"').nth(1);
        let path = match (path.trim(), written) {
            ("S", _) => stage.to_owned(),
            (below, Some(path)) if below.starts_with("&below(") => format!("{stage}{path}"),
            (_, Some(path)) => path.to_owned(),
            (other, None) => panic!("a route at {other}"),
        };
        let before = found.len();
        for method in METHODS {
            let call = format!("{method}(");
            let is_call =
                |at: usize| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            let times = handlers.match_indices(&call).filter(|(at, _)| is_call(*at)).count();
            found.extend((0..times).map(|_| (method.to_uppercase(), path.clone())));
        }
        assert!(found.len() > before, "no method is known of {path}: {handlers}");
    }
    found
}

/// Up to the parenthesis that closes the call.
fn balanced(text: &str) -> &str {
    let mut open = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &text[..at];
        }
    }
    panic!("a route has no end: {text}")
}
