//! Every refusal, one of each kind. What a problem document has to have is asserted by `Answer::slug`.

use std::collections::BTreeSet;

use oncegate::policy::KeyUse;
use oncegate::record::Phase;
use oncegate::{Dialect, Policy, ProblemKind};
use oncegate_tower::{Failure, Settings};

use crate::handler::{Handler, frames, respond};
use crate::harness::{Answer, Bench, Setup, pay, seconds, unkeyed, with_body, with_header};

/// One refusal of each kind that the layer can make.
async fn one_of_each() -> Vec<Answer> {
    one_of_each_in(Dialect::Problem).await
}

async fn one_of_each_in(dialect: Dialect) -> Vec<Answer> {
    let policy = Policy {
        dialect,
        key: KeyUse::Required,
        request_bytes_max: 100,
        answer_timeout: seconds(1),
        response_bytes_max: 20,
        ..Policy::default()
    };
    let handler = Handler::new(|call| async move {
        let mut answer = respond(200, "paid");
        match call.header("x-do") {
            Some("hang") => std::future::pending().await,
            Some("unknown") => *answer.status_mut() = crate::harness::code(504),
            Some("large") => answer = respond(201, "x".repeat(21)),
            Some("unreachable") => drop(answer.extensions_mut().insert(Failure::NotSent)),
            Some("break") => drop(answer.extensions_mut().insert(Failure::Broken)),
            _ => {}
        }
        Ok(answer)
    });
    let bench = Bench::under(policy, handler).await;
    let doing = |key, what| with_header(pay(key), "x-do", what);
    for setup in [
        pay("done"),
        doing("unknown", "unknown"),
        doing("large", "large"),
    ] {
        bench.send(setup).await;
    }
    let mut ambiguous = pay("k");
    *ambiguous.uri_mut() = "//payments".parse().unwrap();
    let mut answers = Vec::new();
    for request in [
        unkeyed(),
        pay("\"broken"),
        ambiguous,
        with_header(pay("k"), "cookie", "a=b"),
        with_body(pay("k"), "x".repeat(101)),
        pay("k").map(|_| frames(vec![Err("cut".into())])),
        with_body(pay("done"), "{}"),
        doing("large", "large"),
        doing("hanging", "hang"),
        pay("hanging"),
        pay("unknown"),
        doing("unreachable", "unreachable"),
        doing("broken", "break"),
    ] {
        answers.push(bench.send(request).await);
    }
    bench.faulty.set_down(true);
    answers.push(bench.send(pay("k")).await);
    bench.faulty.set_down(false);
    bench.clock.advance(bench.policy.retention);
    answers.push(bench.send(pay("done")).await);
    bench.oncegate.drain(seconds(1)).await;
    answers.push(bench.send(pay("new")).await);
    answers
}

/// M-29: every kind of refusal has the same shape: type, link, executed, next, status; none is ever stored.
#[tokio::test(start_paused = true)]
async fn every_refusal_is_a_problem_of_the_table() {
    let answers = one_of_each().await;
    let seen: BTreeSet<_> = answers.iter().map(Answer::slug).collect();
    let all = ProblemKind::ALL.into_iter();
    // Quotas are off here; they have tests of their own.
    let expected = all.filter(|kind| *kind != ProblemKind::QuotaReached);
    assert_eq!(seen, expected.map(|kind| kind.row().slug).collect());
}

/// A dialect changes the body and adds the vendor's own header: the status and all other headers stay.
#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_status_and_headers_in_every_dialect() {
    let plain = one_of_each().await;
    for dialect in [Dialect::Stripe, Dialect::Adyen, Dialect::PayPal] {
        let answers = one_of_each_in(dialect).await;
        assert_eq!(answers.len(), plain.len());
        for (answer, plain) in answers.iter().zip(&plain) {
            let slug = plain.slug();
            assert_eq!(answer.status(), plain.status(), "{dialect:?} {slug}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let kind = ProblemKind::from_slug(slug).unwrap();
            let advice = dialect.advice(kind);
            if let Some((name, word)) = &advice {
                assert_eq!(answer.parts.headers.get(name), Some(word), "{slug}");
            }
            let names = |answer: &Answer| {
                let names = answer.parts.headers.keys();
                names.map(ToString::to_string).collect::<BTreeSet<_>>()
            };
            let mut expected = names(plain);
            expected.extend(advice.map(|(name, _)| name.to_string()));
            assert_eq!(names(answer), expected, "{dialect:?} {slug}");
            for same in ["link", "retry-after", "location", "idempotency-key"] {
                assert_eq!(
                    answer.header(same),
                    plain.header(same),
                    "{dialect:?} {slug}"
                );
            }
            assert_eq!(answer.became(), plain.became(), "{dialect:?} {slug}");
        }
    }
}

/// M-36: a refusal says no more than it must: it is not cached, and marked as one of ours.
#[tokio::test(start_paused = true)]
async fn every_refusal_is_marked_and_never_cached() {
    for answer in one_of_each().await {
        let slug = answer.slug();
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{slug}");
        let started = ["still-running", "upstream-outcome-unknown"].contains(&slug);
        let became = if started { "unknown" } else { "refused" };
        assert_eq!(answer.became(), became, "{slug}");
        let challenged = answer.header("www-authenticate").is_some();
        assert_eq!(challenged, slug == "scope-missing", "{slug}");
        let invalid = ["key-missing", "key-invalid"].contains(&slug);
        assert_eq!(
            answer.header("idempotency-key").is_none(),
            invalid,
            "{slug}"
        );
    }
}

/// M-16: those refusals that time mends say when to come back, and no others.
#[tokio::test(start_paused = true)]
async fn refusals_that_time_mends_have_a_retry_after() {
    let mended = [
        "in-flight",
        "overloaded",
        "still-running",
        "store-unavailable",
        "upstream-unreachable",
    ];
    for answer in one_of_each().await {
        let slug = answer.slug();
        assert_eq!(
            answer.retry_after().is_some(),
            mended.contains(&slug),
            "{slug}"
        );
    }
}

/// M-43: the link of a problem can lead elsewhere; its last segment stays the slug.
#[tokio::test(start_paused = true)]
async fn the_base_of_problem_links_can_be_set() {
    let mut settings = Settings::default();
    settings.problem_base = "https://docs.example/problems/".to_owned();
    let setup = Setup {
        settings,
        ..Setup::default()
    };
    let bench = setup.bench(Handler::paying()).await;
    let answer = bench.send(pay("\"broken")).await;
    let link = "https://docs.example/problems/key-invalid";
    assert_eq!(answer.json()["type"], link);
    let described = format!("<{link}>; rel=\"describedby\"");
    assert_eq!(answer.header("link"), Some(&*described));
    assert_eq!(bench.phase("k").await, None::<Phase>);
}
