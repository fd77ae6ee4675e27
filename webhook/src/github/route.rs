//! Paths, most of them below a repository, with every part encoded: a branch may be called `feature/a#b?`.

use std::fmt;

use url::form_urlencoded::{Serializer, byte_serialize};
use windlass_core::names::ProjectName;

/// A path and its query.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// `None`: the path is below no repository.
    repository: Option<ProjectName>,
    path: String,
    query: Option<String>,
}

impl Route {
    /// The repository itself.
    pub(super) fn of(project: &ProjectName) -> Self {
        Self { repository: Some(project.clone()), path: String::new(), query: None }
    }

    /// The same below the repository of this name.
    pub(super) fn below(&self, name: &ProjectName) -> Self {
        Self { repository: Some(name.clone()), ..self.clone() }
    }

    /// The App that asks.
    pub(super) fn to_app() -> Self {
        Self { repository: None, path: "/app".to_owned(), query: None }
    }

    /// One part further.
    pub(super) fn to(mut self, part: &str) -> Self {
        // A form writes a space as `+`, which in a path is a plus.
        let encoded: String = byte_serialize(part.as_bytes()).collect();
        self.path.push('/');
        self.path.push_str(&encoded.replace('+', "%20"));
        self
    }

    /// With a parameter.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let mut serializer = Serializer::new(self.query.take().unwrap_or_default());
        self.query = Some(serializer.append_pair(name, value).finish());
        self
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.iter().try_for_each(|name| write!(formatter, "/repos/{name}"))?;
        formatter.write_str(&self.path)?;
        self.query.iter().try_for_each(|query| write!(formatter, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn rule_021_a_branch_stays_one_part_of_the_path_whatever_is_in_its_name() {
        let route = Route::of(&"acme/shop".parse().unwrap()).to("branches").to("feature/a b+c#d?é");
        assert_eq!(route.to_string(), "/repos/acme/shop/branches/feature%2Fa%20b%2Bc%23d%3F%C3%A9");
    }

    #[test]
    fn rule_028_the_same_is_asked_by_another_name() {
        let route = Route::of(&"acme/shop".parse().unwrap()).to("branches").with("page", "2");
        assert_eq!(route.below(&"acme/store".parse().unwrap()).to_string(), "/repos/acme/store/branches?page=2");
        assert_eq!(Route::to_app().to_string(), "/app");
    }

    #[test]
    fn parameters_are_encoded_and_joined() {
        let route = Route::of(&"acme/shop".parse().unwrap()).with("environment", "a&b").with("per_page", "100");
        assert_eq!(route.to_string(), "/repos/acme/shop?environment=a%26b&per_page=100");
    }
}
