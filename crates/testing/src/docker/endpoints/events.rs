//! The stream of events. It goes over what is on record, so that nobody who is slow misses anything.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;

use super::{Query, State};
use crate::docker::filters::Filters;
use crate::docker::json;
use crate::docker::model::{Event, Model};
use crate::docker::refusal::Refusal;

/// Begins with what came from `since` on, or from now.
pub(super) async fn stream(shared: State, query: Query) -> Result<Response, Refusal> {
    let filters = Filters::of(&query)?;
    let since = match query.get("since").filter(|since| !since.is_empty()) {
        Some(since) => Some(time(since).ok_or_else(|| Refusal::bad_request(format!("invalid time {since}")))?),
        None => None,
    };
    let next = if since.is_some() { 0 } else { shared.look(|model| model.events.len()) };
    let lines = stream::unfold((shared, filters, next), move |(shared, filters, next)| async move {
        let (lines, next) = shared.until(|model| lines(model, next, since, &filters)).await;
        Some((Ok::<_, std::convert::Infallible>(lines), (shared, filters, next)))
    });
    Ok(([("content-type", "application/json")], Body::from_stream(lines)).into_response())
}

/// What there is from this number on, and the number after it.
fn lines(model: &Model, next: usize, since: Option<Timestamp>, filters: &Filters) -> Option<(String, usize)> {
    let new = model.events.get(next..).unwrap_or_default();
    let wanted = new.iter().filter(|event| since.is_none_or(|since| event.at >= since) && fits(event, filters));
    let lines: String = wanted.map(|event| format!("{}\n", json::event(event))).collect();
    (!lines.is_empty()).then_some((lines, model.events.len()))
}

fn fits(event: &Event, filters: &Filters) -> bool {
    // `health_status` stands for `health_status: healthy` too.
    let kind = event.action.split(':').next().unwrap_or_default();
    let name = event.attributes.get("name").map(String::as_str).unwrap_or_default();
    let image = event.attributes.get("image").map(String::as_str).unwrap_or_default();
    filters.fit("type", |wanted| wanted == "container")
        && filters.fit("event", |wanted| wanted == kind || wanted == event.action)
        && filters.fit("container", |wanted| wanted == name || event.container.starts_with(wanted))
        && filters.fit("image", |wanted| wanted == image)
        && filters.fit_labels(&event.attributes)
}

/// Seconds, perhaps with nanoseconds after a point.
fn time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_seconds_and_perhaps_a_fraction() {
        assert_eq!(time("12").unwrap().as_nanosecond(), 12_000_000_000);
        assert_eq!(time("12.5").unwrap().as_nanosecond(), 12_500_000_000);
        assert_eq!(time("12.000000001").unwrap().as_nanosecond(), 12_000_000_001);
        assert_eq!(time("soon"), None);
    }
}
