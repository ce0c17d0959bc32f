//! `oncegate demo`: the first thing that anybody runs.

use crate::harness::{Stage, oncegate};

/// The demo checks its own story: if it says that it went well, a payment really ran once.
#[tokio::test]
async fn the_demo_tells_how_often_each_payment_really_ran() {
    let _stage = Stage::new().await;
    let told = oncegate(&[
        "demo",
        "--exit",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ])
    .await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let mut steps = told.stdout.split("\n\n");
    let unprotected = steps.next().unwrap();
    assert!(unprotected.contains("Without Oncegate"), "{unprotected}");
    assert!(unprotected.contains("really ran 2 times"), "{unprotected}");
    let protected: Vec<&str> = steps.filter(|step| step.contains("really ran")).collect();
    assert_eq!(protected.len(), 4, "{}", told.stdout);
    for step in protected {
        assert!(step.contains("the payment really ran once"), "{step}");
    }
    assert!(
        told.stdout.contains("<- 422 Unprocessable Entity"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("killed with -9"), "{}", told.stdout);
    assert_eq!(told.stderr, "");
}
