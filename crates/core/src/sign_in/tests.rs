use super::{ClaimRefused, JobClaims, NotNow};
use crate::Timestamp;
use crate::config::server::OidcPolicy;
use crate::hint::Hint;
use crate::names::{RepositoryId, StageName};

const NOW: i64 = 1_800_000_000;

fn claims() -> JobClaims {
    JobClaims {
        jti: "a-jti".to_owned(),
        exp: NOW + 300,
        nbf: Some(NOW - 600),
        repository: "acme/shop".to_owned(),
        repository_id: RepositoryId(1_296_269),
        reference: "refs/heads/main".to_owned(),
        sha: "a".repeat(40).parse().unwrap(),
        event_name: "push".to_owned(),
        environment: None,
        actor: "octavia".to_owned(),
        run_id: 1,
        run_attempt: 1,
        check_run_id: Some(2),
        workflow_ref: Some("acme/shop/.github/workflows/deploy.yml@refs/heads/main".to_owned()),
        job_workflow_ref: Some("acme/ci/.github/workflows/deploy.yml@refs/tags/v1".to_owned()),
    }
}

fn policy() -> OidcPolicy {
    OidcPolicy {
        events: vec!["push".to_owned(), "workflow_dispatch".to_owned()],
        refs: vec!["refs/heads/main".to_owned()],
        may: Vec::new(),
        workflows: Vec::new(),
    }
}

fn enter(claims: &JobClaims, policy: &OidcPolicy) -> Result<(), ClaimRefused> {
    claims.may_enter(&"production".parse::<StageName>().unwrap(), policy)
}

/// The refused claim's name.
fn refused(claims: &JobClaims, policy: &OidcPolicy) -> &'static str {
    enter(claims, policy).unwrap_err().claim
}

#[test]
fn rule_072_a_token_is_good_between_its_times_and_a_minute_beyond() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let claims = claims();
    for good in [NOW - 660, NOW - 600, NOW, NOW + 300, NOW + 359] {
        assert_eq!(claims.good_at(at(good)), Ok(()), "{}", good - NOW);
    }
    assert_eq!(claims.good_at(at(NOW + 360)), Err(NotNow::Expired(at(NOW + 300))));
    assert_eq!(claims.good_at(at(NOW - 661)), Err(NotNow::NotYet(at(NOW - 600))));
    assert_eq!(JobClaims { nbf: None, ..claims.clone() }.good_at(at(0)), Ok(()));
    for exp in [i64::MAX, i64::MIN] {
        assert_eq!(JobClaims { exp, ..claims.clone() }.good_at(at(NOW)), Err(NotNow::Never));
    }
}

#[test]
fn rule_073_a_repository_is_known_by_its_id() {
    assert_eq!(claims().is_of(RepositoryId(1_296_269)), Ok(()));
    let refused = claims().is_of(RepositoryId(7)).unwrap_err();
    assert_eq!(refused.to_string(), "the job's `repository_id` is 1296269; allowed here: 7");
}

#[test]
fn rule_074_event_ref_workflow_and_environment_are_what_the_stage_allows() {
    assert_eq!(enter(&claims(), &policy()), Ok(()));
    for event in ["pull_request", "pull_request_target", "schedule", "Push", ""] {
        assert_eq!(refused(&JobClaims { event_name: event.to_owned(), ..claims() }, &policy()), "event_name");
    }
    for reference in ["refs/heads/mainline", "refs/heads/x/main", "main", "refs/tags/main", "refs/heads/MAIN"] {
        assert_eq!(refused(&JobClaims { reference: reference.to_owned(), ..claims() }, &policy()), "ref");
    }
    let staging = JobClaims { environment: Some("staging".to_owned()), ..claims() };
    assert_eq!(refused(&staging, &policy()), "environment");
    assert_eq!(enter(&JobClaims { environment: Some("production".to_owned()), ..claims() }, &policy()), Ok(()));
}

#[test]
fn a_workflow_is_allowed_by_its_own_name_or_by_that_of_the_one_it_reuses() {
    let only = |workflow: &str| OidcPolicy { workflows: vec![workflow.to_owned()], ..policy() };
    assert_eq!(enter(&claims(), &only("acme/shop/.github/workflows/deploy.yml@refs/heads/main")), Ok(()));
    assert_eq!(enter(&claims(), &only("acme/ci/.github/workflows/deploy.yml@refs/tags/v1")), Ok(()));
    assert_eq!(refused(&claims(), &only("acme/shop/.github/workflows/test.yml@refs/heads/main")), "workflow_ref");
    let silent = JobClaims { workflow_ref: None, job_workflow_ref: None, ..claims() };
    assert_eq!(refused(&silent, &only("acme/shop/.github/workflows/deploy.yml@refs/heads/main")), "workflow_ref");
}

#[test]
fn a_refusal_says_what_the_claim_was_what_it_may_be_and_where_that_is_written() {
    let refused = enter(&JobClaims { event_name: "schedule".to_owned(), ..claims() }, &policy()).unwrap_err();
    assert_eq!(refused.to_string(), "the job's `event_name` is schedule; allowed here: push, workflow_dispatch");
    assert!(refused.hint().unwrap().contains("oidc.events"));
    let nothing = OidcPolicy { events: Vec::new(), ..policy() };
    assert!(enter(&claims(), &nothing).unwrap_err().to_string().ends_with("allowed here: none"));
}
