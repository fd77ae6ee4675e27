//! Deployments in a row while people work: nobody notices.

mod traffic;

use windlass_core::deployment::DeploymentState;

use crate::world::World;
use traffic::Traffic;

const DEPLOYMENTS: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn rule_093_fifty_deployments_in_a_row_cost_no_request_upload_or_stream() {
    let world = World::start().await;
    // Five times what the longest request takes: the machine may have other work to do.
    let config = world.config().replace("\"500ms\"", "\"0s\"").replace("drain = \"5s\"", "drain = \"10s\"");
    for number in [1, 2] {
        let image = world.build(&[("SAMPLE_VERSION", &number.to_string())]).await;
        world.release(&format!("release {number}"), &image, &config).await;
        assert_eq!(world.deploy("deploy", Some(number)).await.state, DeploymentState::Succeeded);
    }
    let begun = std::time::Instant::now();
    let traffic = Traffic::start(&world);
    for number in 0..DEPLOYMENTS {
        let (kind, release, serves) =
            if number % 2 == 0 { ("rollback", None, "release 1 ") } else { ("deploy", Some(2), "release 2 ") };
        let deployment = world.deploy(kind, release).await;
        assert_eq!(deployment.state, DeploymentState::Succeeded, "{kind} {number}: {deployment:#?}");
        assert!(world.answer().await.starts_with(serves), "{kind} {number}");
    }
    let took = begun.elapsed();
    let count = traffic.stop().await;
    println!("{DEPLOYMENTS} deployments in {:.0} s (not asserted); {count}", took.as_secs_f64());
    assert!(count.failures.is_empty(), "{:#?}", count.failures);
    assert!(count.every_kind_was_answered(), "{count}");
}
