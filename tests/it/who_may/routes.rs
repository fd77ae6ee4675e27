//! The service's routes: those of the API as its description has them, the others read from the route table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::World;

const METHODS: [&str; 8] = ["get", "post", "put", "delete", "patch", "head", "options", "any"];

/// Method and path of each, as the table writes them.
pub(super) async fn of_the_service(world: &World) -> BTreeSet<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhook/src/http.rs");
    let text = fs::read_to_string(file).unwrap();
    for other in [".merge(", ".route_service(", ".nest_service(", ".fallback_service("] {
        assert!(!text.contains(other), "`{other}` brings routes that this does not read");
    }
    let (pages, api) = text.split_once("fn api()").expect("the API has a table of its own");
    assert_eq!(pages.matches(".nest(").count(), 1, "only the API is nested");
    assert_eq!(routes(api), [("GET".to_owned(), "/openapi.json".to_owned())], "all others of the API are described");
    let description: Value = world.get("/openapi.json").await;
    let described = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), format!("/api/v1{path}")))
    });
    let undescribed = ("GET".to_owned(), "/api/v1/openapi.json".to_owned());
    routes(pages).into_iter().chain(described).chain([undescribed]).collect()
}

fn routes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in text.split(".route(").skip(1) {
        let call = balanced(piece);
        let (path, handlers) = call.split_once(',').unwrap();
        let path = path.split('"').nth(1).unwrap_or_else(|| panic!("a route at {path}"));
        let before = found.len();
        for method in METHODS {
            let call = format!("{method}(");
            let is_call =
                |at: usize| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            let times = handlers.match_indices(&call).filter(|(at, _)| is_call(*at)).count();
            found.extend((0..times).map(|_| (method.to_uppercase(), path.to_owned())));
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
