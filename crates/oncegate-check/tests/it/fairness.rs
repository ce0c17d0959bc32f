//! What published middlewares do, each in its way: none of them is blamed for what it does not do.

use oncegate_check::dialect::{AUTO, ONCEGATE};
use oncegate_check::report::Verdict;

use crate::dialects::finding;
use crate::origin::Defect;

/// django-idempotency-key replays with 409: for 40 s a case it was taken for a server that never ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_names_the_execution_is_not_in_flight() {
    let finding = finding(Defect::ReplaysAsConflict, &AUTO, "lost-answer-runs-once").await;
    assert_eq!(finding.verdict, Verdict::CannotTell, "{}", finding.because);
    assert!(
        finding.because.contains("409 with the words"),
        "{}",
        finding.because
    );
}

/// Powertools raises an exception while the first is running, and gateways make a 500 of it. That is wrong, and costs
/// no money: whoever comes back later gets the outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_500_while_the_first_is_running_is_not_the_last_word() {
    let told = finding(Defect::BreaksInFlight, &AUTO, "in-flight-answer").await;
    assert_eq!(told.verdict, Verdict::Fail, "{}", told.because);
    let left = finding(Defect::BreaksInFlight, &AUTO, "left-while-running").await;
    assert_eq!(left.verdict, Verdict::Pass, "{}", left.because);
}

/// Stripe and others take any text for a key, an open quote, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_key_is_refused_only_where_the_dialect_says_so() {
    for id in ["malformed-key-answer", "empty-key-answer"] {
        let unknown = finding(Defect::AnythingIsKey, &AUTO, id).await;
        assert_eq!(unknown.verdict, Verdict::CannotTell, "{}", unknown.because);
        let known = finding(Defect::AnythingIsKey, &ONCEGATE, id).await;
        assert_eq!(known.verdict, Verdict::Fail, "{}", known.because);
    }
}
