//! What is public says what it is; what its name says already is not said again.

use crate::architecture::{sources, without_tests};

const ITEMS: [&str; 8] = ["fn ", "async fn ", "const ", "struct ", "enum ", "trait ", "static ", "type "];

/// What a comment of two words begins with that says no more than the field's name below it; one word never does.
const FILLERS: [&str; 4] = ["Its", "The", "Which", "Whose"];

#[test]
fn what_is_public_says_what_it_is() {
    let mut silent = Vec::new();
    for (path, text) in sources() {
        let mut said = false;
        for (number, line) in without_tests(&text).lines().enumerate() {
            let line = line.trim();
            let is_item = line.strip_prefix("pub ").is_some_and(|rest| ITEMS.iter().any(|item| rest.starts_with(item)));
            if is_item && !said && !line.contains("$name") {
                silent.push(format!("{path}:{}: {line}", number + 1));
            }
            // Attributes stand between what is said and what it is said of.
            said =
                line.starts_with("///") || (said && (line.starts_with('#') || !line.ends_with([';', '}', '{', ','])));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn no_comment_says_only_what_the_fields_name_below_it_says() {
    let mut fillers = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, three) in lines.windows(3).enumerate() {
            let [before, comment, after] = three else { continue };
            let alone = !before.starts_with("///") && !after.starts_with("///");
            let Some(comment) = comment.strip_prefix("/// ").and_then(|comment| comment.strip_suffix('.')) else {
                continue;
            };
            let below = lines[at + 2..].iter().find(|line| !line.starts_with("#["));
            let says_nothing = match comment.split(' ').collect::<Vec<_>>()[..] {
                [_] => true,
                [first, _] => FILLERS.contains(&first),
                _ => false,
            };
            if alone && says_nothing && !comment.contains('`') && below.is_some_and(|line| is_field(line)) {
                fillers.push(format!("{path}:{}: {comment}", at + 2));
            }
        }
    }
    assert!(fillers.is_empty(), "say more, or nothing:\n{}", fillers.join("\n"));
}

fn is_field(line: &str) -> bool {
    let name = line.split_once(": ").filter(|(name, _)| !name.contains('{'));
    let name = name.map(|(name, _)| name.rsplit(' ').next().unwrap_or(name));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
}
