//! Quotas, against the real binary: what the origin sees of a flood of new keys.

use crate::harness::{Stage, pay};

/// M-38: no more new keys than the quota reach the origin, however many scopes a client invents; what is known is
/// still answered, and a restart gives everything back.
#[tokio::test]
async fn no_more_new_keys_than_the_quota_reach_the_origin() {
    let stage = Stage::new().await;
    let setup = stage.proxy().set("quota_per_address=3/d");
    let proxy = setup.start().await;
    let with = |key: &str, name: &str| pay(key).header("Authorization", &format!("Bearer {name}"));
    let mut first = None;
    for number in 0..10 {
        let name = format!("invented-{number}");
        let answer = proxy.send(&with("k", &name)).await;
        if number < 3 {
            answer.must_be_executed();
            first.get_or_insert(answer);
        } else {
            answer.must_be_problem(429, "quota-reached", "no", "same-key");
            let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=8 * 3_600 + 1).contains(&after), "{answer:?}");
        }
    }
    let first = first.unwrap();
    proxy
        .send(&with("k", "invented-0"))
        .await
        .must_replay(&first);
    assert_eq!(stage.origin.executions("k"), 3);
    let proxy = proxy.stop().await.start().await;
    proxy
        .send(&with("k", "invented-9"))
        .await
        .must_be_executed();
    assert_eq!(stage.origin.executions("k"), 4);
}
