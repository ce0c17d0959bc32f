//! The checker on forged logs: it lets pass what the contract permits, and each finding is seen.

use super::checker::{Contract, Kind, check};
use super::logs::{Attempt, Ended, Execution, How, Logs, Micros, Outcome, Told};

/// What was found in the logs of one key, in order.
fn found(reexecutes: bool, executions: &[Execution], attempts: &[Attempt]) -> Vec<Kind> {
    let contract = Contract {
        reexecutes,
        lease: LEASE,
        patience: LEASE,
    };
    let logs = Logs {
        executions: executions.to_vec(),
        attempts: attempts.to_vec(),
    };
    let mut kinds: Vec<Kind> = check(&logs, &contract)
        .iter()
        .map(|finding| finding.kind)
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// The execution of an attempt that arrived at `at`; its fence is its time.
fn ran(attempt: u64, at: Micros, how: How) -> Execution {
    Execution {
        key: "key".to_owned(),
        attempt,
        fence: at,
        request: REQUEST.to_owned(),
        arrived_at: at,
        ended: Some(Ended { at: at + 10, how }),
    }
}

fn answered(status: u16, body: &str) -> How {
    How::Answered {
        status,
        body: body.to_owned(),
    }
}

/// An attempt from `at` on, of a hundred microseconds.
fn asked(number: u64, at: Micros, outcome: Outcome) -> Attempt {
    Attempt {
        number,
        key: "key".to_owned(),
        request: REQUEST.to_owned(),
        sent_at: at,
        ended_at: at + 100,
        outcome,
    }
}

/// An answer of the origin's, under this fence.
fn told(status: u16, became: &str, fence: u64, body: &str) -> Outcome {
    Outcome::Answer(Told {
        status,
        became: became.to_owned(),
        fence: Some(fence),
        slug: String::new(),
        body: body.to_owned(),
    })
}

fn refused(status: u16, slug: &str) -> Outcome {
    Outcome::Answer(Told {
        status,
        became: "refused".to_owned(),
        fence: None,
        slug: slug.to_owned(),
        body: String::new(),
    })
}

fn broken() -> Outcome {
    Outcome::Broken("reset".to_owned())
}

/// Executed once, replayed twice.
fn paid() -> (Execution, [Attempt; 3]) {
    let attempts = [
        asked(1, 1_000, told(201, "executed", 1_005, "paid")),
        asked(2, 2_000, told(201, "replayed", 1_005, "paid")),
        asked(3, 3_000, told(201, "replayed", 1_005, "paid")),
    ];
    (ran(1, 1_005, answered(201, "paid")), attempts)
}

#[test]
fn what_the_contract_permits_is_let_pass() {
    let (execution, mut attempts) = paid();
    assert_eq!(
        found(false, std::slice::from_ref(&execution), &attempts),
        []
    );
    // A duplicate meanwhile, one that came while the store was away, and one of a client that went.
    attempts[1] = asked(2, 1_007, refused(409, "in-flight"));
    let more = [
        asked(4, 3_000, refused(503, "store-unavailable")),
        asked(5, 3_500, Outcome::Left),
    ];
    let all = [&attempts[..], &more].concat();
    assert_eq!(found(false, &[execution], &all), []);
    // A release, and another execution.
    let executions = [
        ran(1, 1_005, answered(503, "busy")),
        ran(2, 2_005, answered(201, "paid")),
    ];
    let attempts = [
        asked(1, 1_000, told(503, "released", 1_005, "busy")),
        asked(2, 2_000, told(201, "executed", 2_005, "paid")),
    ];
    assert_eq!(found(false, &executions, &attempts), []);
    // A holder that died before it came as far as the origin: in flight for a lease, then unknown.
    let attempts = [
        asked(1, 1_000, broken()),
        asked(2, 1_500, refused(409, "in-flight")),
        asked(3, 9_000_000, refused(409, "outcome-unknown")),
    ];
    assert_eq!(found(false, &[], &attempts), []);
}

#[test]
fn a_second_execution_is_found() {
    let (execution, attempts) = paid();
    let second = ran(9, 5_000, answered(201, "paid"));
    let both = [execution, second];
    // Recorded is recorded, whatever the policy.
    for reexecutes in [false, true] {
        assert_eq!(found(reexecutes, &both, &attempts), [Kind::ExecutedTwice]);
    }
    // Nobody was told anything, and still.
    assert_eq!(found(false, &both, &[]), [Kind::ExecutedTwice]);
}

#[test]
fn a_second_execution_before_the_release_is_found() {
    let executions = [
        ran(1, 1_000, answered(503, "busy")),
        ran(2, 1_005, answered(201, "paid")),
    ];
    assert_eq!(found(false, &executions, &[]), [Kind::ExecutedTwice]);
}

#[test]
fn one_request_that_was_sent_twice_is_found() {
    let executions = [
        ran(1, 1_000, answered(503, "busy")),
        ran(1, 2_000, answered(201, "paid")),
    ];
    assert_eq!(found(false, &executions, &[]), [Kind::ExecutedTwice]);
}

/// `on_unknown = "reexecute"`: after the lease, or after an end that leaves it unknown.
#[test]
fn a_second_execution_under_a_live_lease_is_found_where_unknowns_are_executed_again() {
    let after = |at| {
        let first = ran(1, 1_000, How::Deserted);
        [first, ran(2, at, answered(201, "paid"))]
    };
    assert_eq!(found(true, &after(1_000 + LEASE), &[]), []);
    assert_eq!(
        found(false, &after(1_000 + LEASE), &[]),
        [Kind::ExecutedTwice]
    );
    let slow = ran(1, 1_000, answered(201, "first"));
    let second = ran(2, 999 + LEASE, answered(201, "paid"));
    assert_eq!(found(true, &[slow, second], &[]), [Kind::ExecutedTwice]);
    let cut = [
        ran(1, 1_000, How::Cut),
        ran(2, 2_000, answered(201, "paid")),
    ];
    assert_eq!(found(true, &cut, &[]), []);
    assert_eq!(found(false, &cut, &[]), [Kind::ExecutedTwice]);
}

#[test]
fn a_fence_that_does_not_rise_is_found() {
    for fence in [1_005, 1_004] {
        let second = Execution {
            fence,
            ..ran(2, 2_000, answered(201, "paid"))
        };
        let first = ran(1, 1_005, answered(503, "busy"));
        assert_eq!(found(false, &[first, second], &[]), [Kind::FenceFell]);
    }
}

#[test]
fn an_answer_without_its_execution_is_found() {
    let (execution, attempts) = paid();
    assert_eq!(found(false, &[], &attempts), [Kind::NoSuchExecution]);
    // Another fence, another request, another one's execution, another answer, and one that was not given yet.
    let wrong = [
        Execution {
            fence: 7,
            ..execution.clone()
        },
        Execution {
            request: "another".to_owned(),
            ..execution.clone()
        },
        Execution {
            attempt: 8,
            ..execution.clone()
        },
        ran(1, 1_005, answered(201, "other")),
        Execution {
            ended: None,
            ..execution
        },
    ];
    for execution in wrong {
        let kinds = found(false, &[execution], &attempts);
        assert!(kinds.contains(&Kind::NoSuchExecution), "{kinds:?}");
    }
    // What is not to be kept is said to be recorded.
    let failed = ran(1, 1_005, answered(503, "paid"));
    let attempt = asked(1, 1_000, told(503, "executed", 1_005, "paid"));
    assert_eq!(found(false, &[failed], &[attempt]), [Kind::NoSuchExecution]);
}

#[test]
fn two_answers_for_one_key_are_found() {
    let executions = [
        ran(1, 1_000, answered(201, "first")),
        ran(2, 1_000 + LEASE, answered(201, "second")),
    ];
    let attempts = [
        asked(1, 950, told(201, "executed", 1_000, "first")),
        asked(2, 900, told(201, "executed", 1_000 + LEASE, "second")),
    ];
    // The second was answered before it ran: let it end later.
    let late = Attempt {
        ended_at: 2_000 + LEASE,
        ..attempts[1].clone()
    };
    let kinds = found(true, &executions, &[attempts[0].clone(), late]);
    assert_eq!(kinds, [Kind::ExecutedTwice, Kind::TwoAnswers]);
    // A replay that differs by a byte.
    let (execution, mut attempts) = paid();
    attempts[2] = asked(3, 3_000, told(201, "replayed", 1_005, "paid "));
    let kinds = found(false, &[execution], &attempts);
    assert_eq!(kinds, [Kind::NoSuchExecution, Kind::TwoAnswers]);
}

#[test]
fn a_recorded_outcome_that_is_not_replayed_later_is_found() {
    for slug in ["in-flight", "outcome-unknown"] {
        let (execution, mut attempts) = paid();
        attempts[2] = asked(3, 3_000, refused(409, slug));
        assert_eq!(found(false, &[execution], &attempts), [Kind::Forgotten]);
    }
    // It was sent before anybody knew: let it pass.
    let (execution, mut attempts) = paid();
    attempts[2] = asked(3, 1_050, refused(409, "outcome-unknown"));
    assert_eq!(found(false, &[execution], &attempts), []);
}

#[test]
fn a_key_that_is_in_flight_longer_than_a_lease_after_its_holder_died_is_found() {
    let last = 1_100 + 2 * LEASE;
    let in_flight_at = |at| {
        let died = asked(1, 1_000, broken());
        found(false, &[], &[died, asked(2, at, refused(409, "in-flight"))])
    };
    assert_eq!(in_flight_at(last), []);
    assert_eq!(in_flight_at(last + 1), [Kind::InFlightTooLong]);
    // Others who were told the same have not held it.
    let attempts = [
        asked(1, 1_000, broken()),
        asked(2, last, refused(409, "in-flight")),
        asked(3, last + 1, refused(409, "in-flight")),
    ];
    assert_eq!(found(false, &[], &attempts), [Kind::InFlightTooLong]);
    // One that still runs may be held for ever.
    let runs = Execution {
        ended: None,
        ..ran(1, 1_005, How::Cut)
    };
    assert_eq!(found(false, &[runs], &attempts), []);
    // Nobody ever asked before.
    let alone = [asked(1, 1_000, refused(409, "in-flight"))];
    assert_eq!(found(false, &[], &alone), [Kind::InFlightTooLong]);
}

#[test]
fn a_refusal_of_a_request_that_ran_is_found() {
    let executions = [ran(1, 1_005, How::Cut)];
    for (status, slug) in [
        (503, "store-unavailable"),
        (503, "overloaded"),
        (409, "in-flight"),
        (409, "outcome-unknown"),
    ] {
        let attempts = [asked(1, 1_000, refused(status, slug))];
        assert_eq!(
            found(false, &executions, &attempts),
            [Kind::RanThoughRefused]
        );
    }
    // A holder that was taken over is told what stands there.
    let attempts = [asked(1, 1_000, refused(409, "in-flight"))];
    assert_eq!(found(true, &executions, &attempts), []);
}

#[test]
fn an_answer_that_the_contract_does_not_know_is_found() {
    let strange = [
        told(201, "bypassed", 1_005, "paid"),
        told(201, "", 1_005, "paid"),
        refused(500, ""),
        refused(409, "new-slug"),
        // There was no other request under this key.
        refused(422, "mismatch"),
    ];
    for outcome in strange {
        let attempts = [asked(1, 1_000, outcome)];
        assert_eq!(found(false, &[], &attempts), [Kind::Dishonest]);
    }
    let another = Attempt {
        request: "another".to_owned(),
        ..asked(1, 500, broken())
    };
    let attempts = [another, asked(2, 1_000, refused(422, "mismatch"))];
    assert_eq!(found(false, &[], &attempts), []);
}

const LEASE: Micros = 2_000_000;
const REQUEST: &str = "{\"amount\":100}";
