//! The same key with another request: a mistake of the client, and never the first request's answer.

use crate::case::{Case, Change, Expect, Need, Refusal, Send, Severity, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "other-body",
        title: "The same key with another body neither runs nor gets the first answer",
        rules: &["M-17"],
        severity: Severity::Money,
        needs: &[Need::Body],
        steps: OTHER_BODY,
        expect: &[
            Expect::Succeeds("first"),
            Expect::NotTheAnswerOf("other", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "Replaying the answer of 50 to an order of 5,000 tells the client that 5,000 were paid.",
        fix: "Store a fingerprint of the request with the key, and refuse when it differs.",
    },
    Case {
        id: "other-body-answer",
        title: "The same key with another body is refused as a mismatch",
        rules: &["M-17"],
        severity: Severity::Contract,
        needs: &[Need::Body],
        steps: OTHER_BODY,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Refused("other", Refusal::Mismatch),
        ],
        why: "A status of its own tells the client that its key is used up, and that retrying will not help.",
        fix: "Answer 422, as the IETF draft says.",
    },
];

const OTHER_BODY: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("other").change(Change::Body)),
];
