//! Webhooks and their deliveries.

use serde_json::{Value, json};

use super::super::deliveries::{Attempt, HOOK_ID, LoggedAttempt};
use super::super::model::Repository;
use super::repositories::url;
use super::{app, time, with};

pub(in crate::github) fn hook(config: Value, events: &Value, of: &Repository, api: &str) -> Value {
    let hook = format!("{}/hooks/{HOOK_ID}", url(of, api));
    json!({
        "type": "Repository",
        "id": HOOK_ID,
        "name": "web",
        "active": true,
        "events": events,
        "config": config,
        "updated_at": time(of.created_at),
        "created_at": time(of.created_at),
        "url": hook,
        "test_url": format!("{hook}/test"),
        "ping_url": format!("{hook}/pings"),
        "deliveries_url": format!("{hook}/deliveries"),
        "last_response": { "code": 200, "status": "active", "message": "OK" }
    })
}

/// As lists have it.
pub(in crate::github) fn delivery(it: &LoggedAttempt) -> Value {
    let (status, code) = match &it.result {
        Attempt::Answered(code @ 200..=299) => ("OK".to_owned(), *code),
        Attempt::Answered(code) => (format!("Invalid HTTP Response: {code}"), *code),
        Attempt::Failed(why) => (why.clone(), 0),
    };
    json!({
        "id": it.id,
        "guid": it.delivery.guid,
        "delivered_at": time(it.at),
        "redelivery": it.redelivery,
        "duration": 0.03,
        "status": status,
        "status_code": code,
        "event": it.delivery.event,
        "action": it.delivery.action,
        "installation_id": app::INSTALLATION_ID,
        "repository_id": it.delivery.repository(),
        "throttled_at": null
    })
}

/// Alone it has what was sent, too.
pub(in crate::github) fn whole_delivery(it: &LoggedAttempt, address: &str) -> Value {
    let payload: Value = serde_json::from_slice(&it.delivery.body).unwrap_or_default();
    let more = json!({
        "url": address,
        "request": { "headers": { "X-GitHub-Delivery": it.delivery.guid }, "payload": payload },
        "response": { "headers": {}, "payload": "" }
    });
    with(delivery(it), more)
}
