//! Certificates from a real authority, by way of the gateways: ordered before an address is active, renewed, and kept
//! where nobody else looks.

use std::time::{Duration, Instant};

use windlass_core::deployment::DeploymentState;
use windlass_core::gateway::CertificateSource;
use windlass_testing::docker::{App, FakeEngine};

use crate::world::{HOST, PATIENCE, World};

use secured::{Day, Secured};

mod secured;
mod traffic;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_fails_keeps_nine_others_and_the_deployment_waiting_for_nothing() {
    let bad_day = Day { bad_nonces: 30, ..Day::default() };
    let secured = Secured::start(&["http-01"], bad_day).await;
    let names: Vec<String> = (0..10).map(|number| format!("n{number}.example.com")).collect();
    let bad = &names[4];
    secured.pebble.lead_astray(bad).await;
    let deployment = secured.deploy(&names).await;

    // The address works the moment it is active.
    let client = secured.client().await;
    for name in names.iter().filter(|name| *name != bad) {
        secured.answers(&client, name).await.unwrap_or_else(|error| panic!("{name}: {error:?}\n{}", secured.logs()));
    }
    assert!(secured.answers(&client, bad).await.is_err(), "nobody signed it");
    let log = secured.deployment_log(&deployment).await;
    assert!(log.contains(&format!("{bad} has no certificate yet: ")), "{log}");
    assert!(log.contains("connection refused") && log.contains("tried again at"), "in the authority's words: {log}");
    assert!(log.contains("n3.example.com has a certificate until "), "{log}");

    let shown = secured.world.stage().await.certificates;
    assert_eq!(shown.len(), 10, "{shown:#?}");
    for certificate in &shown {
        let is_bad = certificate.name == *bad;
        let source = if is_bad { CertificateSource::SelfSigned } else { CertificateSource::Service };
        assert_eq!(certificate.source, Some(source), "{certificate:?}");
        assert_eq!(
            (certificate.ends.is_none(), certificate.problem.is_some(), certificate.next_try.is_some()),
            (is_bad, is_bad, is_bad)
        );
    }
    let status = secured.status().await;
    assert!(status.contains("connection refused") && status.contains("from the authority"), "{status}");

    secured.assert_keys_are_nowhere_else(9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_proven_by_a_handshake() {
    let secured = Secured::start(&["tls-alpn-01"], Day::default()).await;
    secured.deploy(&["shop.example.com".to_owned()]).await;
    secured.answers(&secured.client().await, "shop.example.com").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_knows_its_customers_is_shown_whose_account_it_is() {
    let secured = Secured::start(&["http-01"], Day { customers_only: true, ..Day::default() }).await;
    secured.deploy(&["shop.example.com".to_owned()]).await;
    secured.answers(&secured.client().await, "shop.example.com").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_names_below_one_are_proven_by_a_record_that_is_taken_away_again() {
    let secured = Secured::start(&["http-01", "dns-01"], Day::default()).await;
    secured.deploy(&["*.example.com".to_owned()]).await;
    let client = secured.client().await;
    for name in ["shop.example.com", "any.example.com"] {
        secured.answers(&client, name).await.unwrap();
    }
    let record = "_acme-challenge.example.com";
    assert_eq!(secured.pebble.records(), format!("add {record}\nremove {record}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_on_where_it_was_when_the_service_is_killed_between_it_and_the_certificate() {
    let mut secured = Secured::start(&["dns-01"], Day::default()).await;
    secured.pebble.hold_records();
    let number = secured.release(&["shop.example.com".to_owned()]).await;
    let deployment = secured.begin(number).await;
    secured.until(|secured| secured.pebble.records().contains("add ")).await;
    let ordered = secured.kept("shop.example.com");
    assert!(ordered["order"]["url"].is_string() && ordered["certificate"].is_null());

    secured.world.kill_service().await;
    std::fs::File::create(secured.pebble.record_gate()).unwrap();
    secured.world.start_service().await;
    secured.world.until_ended(&deployment).await;
    secured.answers(&secured.client().await, "shop.example.com").await.unwrap();
    let log = secured.pebble.log();
    assert_eq!(log.matches("Added order ").count(), 1, "it was ordered once:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_away_leaves_what_there_is_and_renews_it_when_it_is_back() {
    let short = Day { validity: Duration::from_secs(24), ..Day::default() };
    let mut secured = Secured::start(&["http-01"], short).await;
    secured.deploy(&["shop.example.com".to_owned()]).await;
    let ends = secured.certificate("shop.example.com").await.ends.unwrap();
    secured.pebble.stop().await;
    // While it is renewed nobody is turned away.
    let traffic = secured.traffic("shop.example.com");
    let told = secured.until_certificate("shop.example.com", |shown| shown.problem.is_some()).await;
    assert_eq!((told.source, told.ends), (Some(CertificateSource::Service), Some(ends)), "the old one is shown");
    assert!(told.problem.unwrap().contains("connection refused"));
    secured.pebble.start_again().await;
    let renewed = secured.until_certificate("shop.example.com", |shown| shown.ends > Some(ends)).await;
    assert_eq!((renewed.problem, renewed.next_try), (None, None));
    // It has forgotten the account; another was made.
    secured.answers(&secured.client().await, "shop.example.com").await.unwrap();
    let (requests, failed) = traffic.end().await;
    assert!(requests > 100 && failed.is_empty(), "{requests}: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_met_by_the_gateway_of_a_host_that_does_not_serve_the_name() {
    let elsewhere = Day { challenged_at_b: true, ..Day::default() };
    let secured = Secured::start(&["http-01", "tls-alpn-01"], elsewhere).await;
    secured.deploy(&["shop.example.com".to_owned()]).await;
    secured.answers(&secured.client().await, "shop.example.com").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_away_is_told_when_it_is_back_and_serves_without_the_service() {
    let mut secured = Secured::start(&["http-01"], Day::default()).await;
    secured.deploy(&["shop.example.com".to_owned()]).await;
    let client = secured.client().await;
    secured.world.kill_service().await;
    secured.world.kill_gateway().await;
    secured.world.start_gateway().await;
    secured.answers(&client, "shop.example.com").await.unwrap();

    // It has lost what it knew.
    secured.world.kill_gateway().await;
    secured.lose_certificates_of_gateway();
    secured.world.start_gateway().await;
    assert!(secured.answers(&client, "shop.example.com").await.is_err());
    secured.world.start_service().await;
    let begun = Instant::now();
    while secured.answers(&client, "shop.example.com").await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", secured.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_which_names_have_no_certificate_and_what_the_authority_says() {
    let secured = Secured::start(&["http-01"], Day::default()).await;
    let names = ["good.example.com".to_owned(), "bad.example.com".to_owned()];
    secured.pebble.lead_astray("bad.example.com").await;
    secured.deploy(&names).await;
    let told = secured.doctor().await;
    assert!(told.contains("bad.example.com") && told.contains("connection refused"), "{told}");
    assert!(told.contains("the authority answers"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_address_that_nobody_is_said_to_end_tls_for_is_served_as_before_and_warned_of() {
    let engine = FakeEngine::start("a", 1).await;
    let digest = format!("sha256:{}", "cd".repeat(32));
    engine.add_image(&digest, App::healthy());
    let world = World::start_on(engine.socket(), Some(&engine.networks()), "").await;
    let config = world.config().replace("http://", "https://");
    world.release("https", &digest.parse().unwrap(), &config).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    assert!(world.app("/up").send().await.unwrap().status().is_success());
    assert_eq!(world.stage().await.certificates, []);
    let begun = Instant::now();
    while !world.service_log().contains("the host's gateway does not end TLS") {
        assert!(begun.elapsed() < PATIENCE, "{}", world.service_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let file = world.path("windlass-server.toml").display().to_string();
    let told = world.windlass(&["doctor", "--config", &file]).output().await.unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(&format!("nobody is said to end TLS for {HOST}")), "{told}");
}
