//! The annotated references and the reader know the same keys.

use std::collections::BTreeSet;

use toml::Table;

use super::{ProjectFile, REFERENCE, SERVER_REFERENCE, ServerConfig, project, server};

/// All tables at a path, `*` for any name.
fn tables<'t>(table: &'t Table, path: &str) -> Vec<&'t Table> {
    let Some((first, rest)) = (!path.is_empty()).then(|| path.split_once('.').unwrap_or((path, ""))) else {
        return vec![table];
    };
    table
        .iter()
        .filter(|(key, _)| first == "*" || *key == first)
        .flat_map(|(_, value)| value.as_table().into_iter().chain(listed(value)))
        .flat_map(|below| tables(below, rest))
        .collect()
}

/// Tables may stand in a list beside strings.
fn listed(value: &toml::Value) -> impl Iterator<Item = &Table> {
    value.as_array().into_iter().flatten().filter_map(toml::Value::as_table)
}

/// `alternatives` cannot stand beside the rest and are there as comments.
fn compare(text: &str, sections: &[(&str, &[&[&str]])], alternatives: &[(&str, &str)]) {
    let document: Table = text.parse().unwrap_or_else(|error| panic!("{error}"));
    for (path, known) in sections {
        let mut written: BTreeSet<&str> =
            tables(&document, path).into_iter().flat_map(Table::keys).map(String::as_str).collect();
        for (_, key) in alternatives.iter().filter(|(at, _)| at == path) {
            assert!(text.lines().any(|line| line.starts_with(&format!("# {key} = "))), "{path}.{key} is no comment");
            written.insert(key);
        }
        let known: BTreeSet<&str> = known.concat().into_iter().collect();
        assert_eq!(written, known, "the reference and the reader disagree about [{path}]");
    }
}

#[test]
fn every_key_of_the_project_file_is_in_its_reference_and_no_other() {
    ProjectFile::parse("reference.toml", REFERENCE).unwrap_or_else(|error| panic!("{error}"));
    compare(REFERENCE, project::SECTIONS, &[]);
}

#[test]
fn every_key_of_the_server_file_is_in_its_reference_and_no_other() {
    ServerConfig::parse("server-reference.toml", SERVER_REFERENCE).unwrap_or_else(|error| panic!("{error}"));
    compare(SERVER_REFERENCE, server::SECTIONS, &[("github", "token")]);
}
