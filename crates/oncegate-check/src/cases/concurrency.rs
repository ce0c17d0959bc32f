//! Duplicates that arrive while the first request is still running.

use crate::case::{Case, Change, Expect, Need, Part, Refusal, Send, Severity, Step, Variant};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "burst-runs-once",
        title: "Many first requests at once run once, and all of them are told the truth",
        rules: &["M-10"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Burst(Send::new("burst")),
            Step::Settle(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("retry"),
            Expect::AllSame("burst"),
            Expect::Effects(1),
        ],
        why: "Impatient users and load balancers send the same request at the same instant. Looking the key up and storing it in two steps lets all of them through.",
        fix: "Claim the key in one atomic step (a unique index, SET NX) before anything runs.",
    },
    Case {
        id: "burst-is-told",
        title: "Each of many at once gets the answer, or is told that the first is in flight",
        rules: &["M-10", "M-16"],
        severity: Severity::Contract,
        needs: &[],
        steps: &[Step::Burst(Send::new("burst"))],
        expect: &[Expect::OthersInFlight("burst")],
        why: "The loser of a race for a unique index often gets the database's error as a 500, or waits until its connection breaks: the client takes a payment that was made for one that failed.",
        fix: "Catch the error of the losing insert, and answer as for any duplicate in flight.",
    },
    Case {
        id: "in-flight-runs-once",
        title: "A duplicate that arrives while the first is running does not run",
        rules: &["M-10", "M-16"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Slow)],
        steps: IN_FLIGHT,
        expect: &[
            Expect::During("duplicate", "first"),
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("duplicate", "first"),
            Expect::Effects(1),
        ],
        why: "Time-outs of clients are shorter than the slowest payment: the retry comes while the first is at work.",
        fix: "Record the key as in flight before the operation runs, and refuse or hold duplicates until it ends.",
    },
    Case {
        id: "in-flight-answer",
        title: "A duplicate in flight is told so, or waits for the first answer",
        rules: &["M-16"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Slow)],
        steps: IN_FLIGHT,
        expect: &[
            Expect::During("duplicate", "first"),
            Expect::Succeeds("first"),
            Expect::InFlight("duplicate", "first"),
        ],
        why: "Only a status of its own tells the client to come back with the same key: any other ends its attempts, or makes it take a new key.",
        fix: "Answer 409, as the IETF draft says, or hold the duplicate and replay.",
    },
    Case {
        id: "in-flight-retry-after",
        title: "A duplicate in flight is told when to come back",
        rules: &["M-16"],
        severity: Severity::Advice,
        needs: &[Need::Variant(Variant::Slow)],
        steps: IN_FLIGHT,
        expect: &[
            Expect::During("duplicate", "first"),
            Expect::Succeeds("first"),
            Expect::RetryAfter("duplicate"),
        ],
        why: "Without Retry-After clients come back at once, all together, or give up too early.",
        fix: "Send Retry-After with each 409, growing with the age of the first request.",
    },
    Case {
        id: "in-flight-is-not-kept",
        title: "A key that was refused in flight is answered once the first request is done",
        rules: &["M-29"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Slow)],
        steps: &[
            Step::Start(Send::new("first").variant(Variant::Slow)),
            Step::Send(Send::new("duplicate").variant(Variant::Slow)),
            Step::Join,
            Step::Settle(Send::new("retry").variant(Variant::Slow)),
        ],
        expect: &[
            Expect::During("duplicate", "first"),
            Expect::Succeeds("first"),
            Expect::WasRefused("duplicate", Refusal::InFlight),
            Expect::Heard("retry"),
            Expect::Same("first", "retry", Part::Body),
        ],
        why: "A record of answers that takes in the refusal, too, tells the client for ever that its payment is in flight, though it was made.",
        fix: "Never store what was answered to a duplicate.",
    },
    Case {
        id: "in-flight-other-body",
        title: "The same key with another body, in flight, neither runs nor gets the first answer",
        rules: &["M-17"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Slow), Need::Body],
        steps: IN_FLIGHT_OTHER,
        expect: &[
            Expect::During("other", "first"),
            Expect::Succeeds("first"),
            Expect::NotTheAnswerOf("other", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "A duplicate that is held until the first is done, and not compared, gets the answer of an order that it did not place.",
        fix: "Store the fingerprint with the claim, and compare before the duplicate is held.",
    },
    Case {
        id: "in-flight-mismatch",
        title: "The same key with another body is a mismatch in flight, too",
        rules: &["M-17", "M-18"],
        severity: Severity::Advice,
        needs: &[Need::Variant(Variant::Slow), Need::Body],
        steps: IN_FLIGHT_OTHER,
        expect: &[
            Expect::During("other", "first"),
            Expect::Succeeds("first"),
            Expect::Refused("other", Refusal::Mismatch),
        ],
        why: "\"Come back later\" makes a client wait for what can never succeed: its key belongs to another request.",
        fix: "Compare first, and refuse a mismatch before a duplicate in flight.",
    },
];

const IN_FLIGHT: &[Step] = &[
    Step::Start(Send::new("first").variant(Variant::Slow)),
    Step::Send(Send::new("duplicate").variant(Variant::Slow)),
    Step::Join,
];

const IN_FLIGHT_OTHER: &[Step] = &[
    Step::Start(Send::new("first").variant(Variant::Slow)),
    Step::Send(
        Send::new("other")
            .variant(Variant::Slow)
            .change(Change::Body),
    ),
    Step::Join,
];
