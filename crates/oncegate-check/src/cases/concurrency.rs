//! Duplicates that arrive while the first request is still running.

use crate::case::{Case, Expect, Need, Send, Severity, Step, Variant};

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
        id: "in-flight-runs-once",
        title: "A duplicate that arrives while the first is running does not run",
        rules: &["M-10", "M-16"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Slow)],
        steps: IN_FLIGHT,
        expect: &[
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
        expect: &[Expect::Succeeds("first"), Expect::RetryAfter("duplicate")],
        why: "Without Retry-After clients come back at once, all together, or give up too early.",
        fix: "Send Retry-After with each 409, growing with the age of the first request.",
    },
];

const IN_FLIGHT: &[Step] = &[
    Step::Start(Send::new("first").variant(Variant::Slow)),
    Step::Send(Send::new("duplicate").variant(Variant::Slow)),
    Step::Join,
];
