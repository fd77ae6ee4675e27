//! What a list or a stream is narrowed to: `filters={"label":["a=b"]}`.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::refusal::Refusal;

/// Each key's wanted values; labels must all fit, of the others one.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    pub(super) fn of(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let Some(text) = query.get("filters").filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let wrong = || Refusal::bad_request("invalid filter");
        let parsed: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
        let wanted = parsed.into_iter().map(|(key, values)| Some((key, words(&values)?)));
        wanted.collect::<Option<_>>().map(Self).ok_or_else(wrong)
    }

    /// Whether one of the wanted values fits, or none is wanted.
    pub(super) fn fit(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        self.0.get(key).is_none_or(|wanted| wanted.iter().any(|value| fits(value)))
    }

    /// Whether all the wanted labels, as `key` or `key=value`, are among these.
    pub(super) fn fit_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.0.get("label").into_iter().flatten();
        wanted.all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|it| it == value),
            None => labels.contains_key(wanted),
        })
    }
}

/// Older clients send `{"a=b": true}` for `["a=b"]`.
fn words(values: &Value) -> Option<Vec<String>> {
    match values {
        Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        Value::Object(values) => Some(values.keys().cloned().collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Filters {
        Filters::of(&HashMap::from([("filters".to_owned(), text.to_owned())])).unwrap()
    }

    #[test]
    fn labels_must_all_fit_and_of_other_values_one() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert!(filters(r#"{"label":["a=1","b"]}"#).fit_labels(&labels));
        assert!(!filters(r#"{"label":["a=1","b=3"]}"#).fit_labels(&labels));
        assert!(filters(r#"{"label":{"a=1":true}}"#).fit_labels(&labels));
        assert!(filters(r#"{"event":["start","die"]}"#).fit("event", |event| event == "die"));
        assert!(!filters(r#"{"event":["start"]}"#).fit("event", |event| event == "die"));
        assert!(filters("{}").fit("event", |_| false));
    }
}
