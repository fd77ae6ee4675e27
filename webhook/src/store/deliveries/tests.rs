use jiff::ToSpan;

use super::*;

fn delivery(guid: &str) -> NewDelivery {
    NewDelivery { guid: guid.into(), event: "push".into(), body: "{}".into(), outcome: None }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
    (folder, store)
}

async fn guids_due(store: &Store, now: Timestamp) -> Vec<String> {
    store.due_deliveries(now, 100).await.unwrap().into_iter().map(|due| due.guid).collect()
}

#[tokio::test]
async fn rule_015_a_redelivery_is_taken_again_only_after_a_failure() {
    let (_folder, store) = store().await;
    let now = Timestamp::UNIX_EPOCH;
    let put = async || store.store_deliveries(&[delivery("guid")], now).await.unwrap()[0];
    let went = async |progress| store.deliveries_went(&[("guid".to_owned(), progress)], now).await.unwrap();
    assert_eq!(put().await, Stored::Accepted);
    assert_eq!(put().await, Stored::Known);
    went(DeliveryProgress::Failed("boom".to_owned())).await;
    assert_eq!(guids_due(&store, now).await, [""; 0]);
    assert_eq!(put().await, Stored::Accepted);
    let due = store.due_deliveries(now, 100).await.unwrap();
    assert_eq!((due.len(), due[0].attempts), (1, 0), "it begins anew");
    went(DeliveryProgress::Done("nothing to do".to_owned())).await;
    assert_eq!(put().await, Stored::Known);
    assert_eq!(guids_due(&store, now).await, [""; 0]);
}

#[tokio::test]
async fn rule_014_of_two_that_come_at_once_one_is_stored() {
    let (_folder, store) = store().await;
    let now = Timestamp::UNIX_EPOCH;
    let batch = [delivery("a"), delivery("b"), delivery("a")];
    let stored = store.store_deliveries(&batch, now).await.unwrap();
    assert_eq!(stored, [Stored::Accepted, Stored::Accepted, Stored::Known]);
    assert_eq!(guids_due(&store, now).await.len(), 2);
}

#[tokio::test]
async fn what_means_nothing_is_done_as_soon_as_it_is_stored() {
    let (_folder, store) = store().await;
    let now = Timestamp::UNIX_EPOCH;
    let ignored = NewDelivery { outcome: Some("ignored".to_owned()), ..delivery("ignored") };
    store.store_deliveries(&[ignored.clone(), delivery("other")], now).await.unwrap();
    assert_eq!(guids_due(&store, now).await, ["other"]);
    assert_eq!(store.store_deliveries(&[ignored], now).await.unwrap(), [Stored::Known]);
}

#[tokio::test]
async fn one_that_is_postponed_stands_in_nobodys_way() {
    let (_folder, store) = store().await;
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let many: Vec<_> = (0..150).map(|number| delivery(&format!("early {number}"))).collect();
    store.store_deliveries(&many, at(0)).await.unwrap();
    let later = DeliveryProgress::Postponed { why: "GitHub is away".to_owned(), until: at(1000) };
    let went: Vec<_> = many.iter().map(|early| (early.guid.to_string(), later.clone())).collect();
    store.deliveries_went(&went, at(1)).await.unwrap();
    store.store_deliveries(&[delivery("late")], at(2)).await.unwrap();
    assert_eq!(guids_due(&store, at(2)).await, ["late"]);
    assert_eq!(store.next_due_delivery().await.unwrap(), Some(at(2)));
    let due = store.due_deliveries(at(1000), 200).await.unwrap();
    assert_eq!((due.len(), due[0].guid.as_str(), due[1].attempts), (151, "late", 1));
}

#[tokio::test]
async fn old_deliveries_are_emptied_and_then_forgotten_unless_they_still_wait() {
    let (_folder, store) = store().await;
    let now = Timestamp::UNIX_EPOCH;
    let later = now + 1.hour();
    store.store_deliveries(&[delivery("done"), delivery("waiting")], now).await.unwrap();
    store.deliveries_went(&[("done".to_owned(), DeliveryProgress::Done("done".to_owned()))], now).await.unwrap();
    assert_eq!(store.empty_deliveries(now, 100).await.unwrap(), 0, "not old yet");
    assert_eq!(store.empty_deliveries(later, 100).await.unwrap(), 1);
    assert_eq!(store.empty_deliveries(later, 100).await.unwrap(), 0, "empty already");
    assert_eq!(store.delivery_body("done").await.unwrap(), "");
    assert_eq!(store.delivery_body("waiting").await.unwrap(), "{}");
    assert_eq!(store.store_deliveries(&[delivery("done")], later).await.unwrap(), [Stored::Known]);
    assert_eq!(store.forget_deliveries(later, 100).await.unwrap(), 1);
    assert_eq!(guids_due(&store, now).await, ["waiting"]);
}

#[tokio::test]
async fn what_was_missed_is_known_by_what_is_stored_and_what_was_asked_for() {
    let (_folder, store) = store().await;
    let now = Timestamp::UNIX_EPOCH;
    let missed = async || store.missed_delivery("guid").await.unwrap();
    assert_eq!(missed().await, MissedDelivery { stored: false, asked_at: None });
    store.redelivery_asked("guid", now).await.unwrap();
    store.redelivery_asked("guid", now + 1.hour()).await.unwrap();
    assert_eq!(missed().await, MissedDelivery { stored: false, asked_at: Some(now + 1.hour()) });
    store.store_deliveries(&[delivery("guid")], now).await.unwrap();
    assert!(missed().await.stored);
    store.deliveries_went(&[("guid".to_owned(), DeliveryProgress::Failed("boom".to_owned()))], now).await.unwrap();
    assert!(!missed().await.stored, "a failed one is missed");
}
