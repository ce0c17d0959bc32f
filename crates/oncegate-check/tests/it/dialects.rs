//! What differs between dialects: what is asked, how it is judged, and which one an API resembles.

use oncegate_check::case::{Case, Need};
use oncegate_check::dialect::{
    ADYEN, AUTO, Dialect, IETF, ONCEGATE, PAYPAL, Resemblance, STRIPE, resemblance,
};
use oncegate_check::report::html::html;
use oncegate_check::report::json::json;
use oncegate_check::report::text::summary;
use oncegate_check::report::{Finding, Imprint, Report, Verdict};
use oncegate_check::{Limits, cases, run};

use crate::origin::{Accent, Defect, Origin};
use crate::verdicts::operation;

async fn check(defect: Defect, dialect: &'static Dialect, ids: &[&str]) -> Report {
    let origin = Origin::start(defect).await;
    let named = |id: &&str| cases::named(id).expect("a case of that name");
    let cases: Vec<&'static Case> = ids.iter().map(named).collect();
    let operation = operation(&origin.url("/payments"));
    run(&operation, dialect, &cases, &Limits::default(), |_| {})
        .await
        .unwrap()
}

pub(crate) async fn finding(defect: Defect, dialect: &'static Dialect, id: &str) -> Finding {
    let report = check(defect, dialect, &[id]).await;
    report.findings.into_iter().next().unwrap()
}

async fn resembles(defect: Defect) -> Resemblance {
    let ids = [
        "replay-runs-once",
        "other-body",
        "in-flight-answer",
        "key-echoed",
    ];
    resemblance(&check(defect, &AUTO, &ids).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dialect_does_not_promise_is_never_a_pass() {
    for (dialect, id) in [
        (&IETF, "replay-marked"),
        (&IETF, "server-error-fate"),
        (&IETF, "key-echoed"),
        (&STRIPE, "malformed-key-answer"),
        (&STRIPE, "reordered-json-answer"),
        (&ADYEN, "other-body-answer"),
        (&ADYEN, "mismatch-problem"),
        (&AUTO, "quoted-key-is-bare-key"),
        (&AUTO, "status-header"),
    ] {
        let finding = finding(Defect::None, dialect, id).await;
        assert_eq!(
            finding.verdict,
            Verdict::CannotTell,
            "{} {id}: {}",
            dialect.name,
            finding.because
        );
        let says = if dialect.name == AUTO.name {
            "name yours"
        } else {
            "dialect"
        };
        assert!(
            finding.because.contains(says),
            "{} {id}: {}",
            dialect.name,
            finding.because
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dialect_judges_by_its_own_words() {
    for (defect, dialect, id, verdict) in [
        // 422 is another dialect's word.
        (Defect::None, &STRIPE, "other-body-answer", Verdict::Fail),
        (
            Defect::VagueMismatch,
            &STRIPE,
            "other-body-answer",
            Verdict::Pass,
        ),
        (
            Defect::VagueMismatch,
            &AUTO,
            "other-body-answer",
            Verdict::Pass,
        ),
        // It says that a 5xx is kept.
        (Defect::None, &STRIPE, "server-error-fate", Verdict::Fail),
        (
            Defect::KeepsServerErrors,
            &STRIPE,
            "server-error-fate",
            Verdict::Pass,
        ),
        (Defect::NoEcho, &ADYEN, "key-echoed", Verdict::Fail),
        // Keys in quotes.
        (
            Defect::QuotesAreKey,
            &IETF,
            "quoted-key-is-bare-key",
            Verdict::Fail,
        ),
        // What costs money costs it in every dialect.
        (Defect::NoKeys, &AUTO, "replay-runs-once", Verdict::Fail),
        (
            Defect::Speaks(Accent::PayPal),
            &PAYPAL,
            "other-body-answer",
            Verdict::Pass,
        ),
    ] {
        let finding = finding(defect, dialect, id).await;
        assert_eq!(
            finding.verdict, verdict,
            "{defect:?} {} {id}: {}",
            dialect.name, finding.because
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_promised_holds_on_the_right_origin_in_its_dialects() {
    for dialect in [&ONCEGATE, &IETF] {
        let ids: Vec<&str> = cases::all()
            .filter(|case| !case.needs.contains(&Need::Chaos))
            .map(|case| case.id)
            .collect();
        let report = check(Defect::None, dialect, &ids).await;
        for finding in &report.findings {
            assert_ne!(
                finding.verdict,
                Verdict::Fail,
                "{} {}: {}",
                dialect.name,
                finding.case.id,
                finding.because
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_no_dialect_is_named_says_whose_way_it_saw() {
    for (defect, closest) in [
        (Defect::None, &["oncegate"][..]),
        (Defect::Speaks(Accent::Draft), &["ietf"]),
        (Defect::Speaks(Accent::Stripe), &["stripe"]),
        (Defect::Speaks(Accent::Adyen), &["adyen"]),
        (Defect::Speaks(Accent::PayPal), &["paypal"]),
    ] {
        let resemblance = resembles(defect).await;
        assert_eq!(
            resemblance.closest, closest,
            "{defect:?}: {:#?}",
            resemblance.evidence
        );
        assert!(resemblance.summary().contains(closest[0]));
        assert!(resemblance.evidence.len() > 3, "{defect:?}: it says why");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_say_what_an_api_resembles_where_no_dialect_was_named() {
    for (dialect, says) in [(&AUTO, true), (&ONCEGATE, false)] {
        let report = check(Defect::None, dialect, &["replay-runs-once"]).await;
        let sentence = "resembles the dialect oncegate most: keys are read from Idempotency-Key";
        assert_eq!(summary(&report, 500).contains(sentence), says);
        let imprint = Imprint {
            tool: "a test",
            at: "now",
        };
        let page = html(std::slice::from_ref(&report), imprint);
        assert_eq!(page.contains(sentence), says);
        let document = json(&[report], imprint);
        assert_eq!(document.contains(r#""speaks_for""#), says);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dialect_the_header_that_makes_a_replay_is_found() {
    for (defect, header) in [
        (Defect::None, "Idempotency-Key"),
        (Defect::Speaks(Accent::PayPal), "PayPal-Request-Id"),
        (Defect::Speaks(Accent::OtherHeader), "X-Idempotency-Key"),
        // No header does: the usual one is left, and the case fails there.
        (Defect::NoKeys, "Idempotency-Key"),
    ] {
        let finding = finding(defect, &AUTO, "replay-runs-once").await;
        let sent = &finding.exchanges[0].request;
        assert!(sent.field(header).is_some(), "{defect:?}: {sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_key_is_as_long_as_was_documented_or_else_as_the_dialect_permits() {
    for (defect, length) in [
        (Defect::Speaks(Accent::Adyen), 64),
        (Defect::None, 255),
        (Defect::DocumentsLie, 300),
    ] {
        let finding = finding(defect, &ADYEN, "longest-key").await;
        let key = finding.exchanges[0].request.field("idempotency-key");
        assert_eq!(key.map(<[u8]>::len), Some(length), "{defect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_saw_nothing_resembles_nothing() {
    let mut nothing = check(Defect::NoKeys, &AUTO, &["empty-key-answer"]).await;
    nothing.findings.clear();
    assert_eq!(resemblance(&nothing).closest, <[&str; 0]>::default());
    assert!(resemblance(&nothing).summary().contains("no dialect"));
}
