//! The same key with another request: a mistake of the client, and never the first request's answer.

use crate::case::{
    Advice, Case, Change, Expect, Need, Part, Promise, Refusal, Send, Severity, Step,
};

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
        id: "large-body-end",
        title: "Two large bodies that differ only at their end are two requests",
        rules: &["M-17"],
        severity: Severity::Money,
        needs: &[Need::JsonObject],
        steps: &[
            Step::Send(Send::new("first").change(Change::Padded)),
            Step::Send(Send::new("other").change(Change::PaddedBody)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::NotTheAnswerOf("other", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "A fingerprint over the first part of a body, or over what was parsed up to a limit, takes the second upload for the first.",
        fix: "Take the fingerprint over all bytes, or refuse bodies over the limit.",
    },
    Case {
        id: "other-query",
        title: "The same key with another query never gets the first answer",
        rules: &["M-19"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("other").change(Change::Query)),
        ],
        expect: OTHER,
        why: "`?dry_run=1` and `?currency=` change what is done. The answer to one is no answer to the other.",
        fix: "Make the query part of the fingerprint.",
    },
    Case {
        id: "other-path",
        title: "The same key with another path never gets the first answer",
        rules: &["M-19"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("other").change(Change::Path)),
        ],
        expect: OTHER,
        why: "A client that uses one key for a whole checkout would get the payment's answer to its refund.",
        fix: "Make the path part of the fingerprint.",
    },
    Case {
        id: "other-method",
        title: "The same key with another method never gets the first answer",
        rules: &["M-19"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("other").change(Change::Method("PUT"))),
        ],
        expect: OTHER,
        why: "The answer to a creation is no answer to a change.",
        fix: "Make the method part of the fingerprint.",
    },
    Case {
        id: "other-spelling",
        title: "Another spelling of the path with the same key does not run again",
        rules: &["M-07"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("respelled").change(Change::Spelling)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("respelled", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "`/payment%73` is `/payments` to most routers. If records are found by the path as written, the second spelling pays again.",
        fix: "Find records by principal and key alone; let the path be a part of the fingerprint.",
    },
    Case {
        id: "mismatch-leaves-record",
        title: "After a mismatch, the right request still gets its answer",
        rules: &["M-17", "M-29"],
        severity: Severity::Money,
        needs: &[Need::Body],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("other").change(Change::Body)),
            Step::Send(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Accepted("retry"),
            Expect::RefusedOrSame("retry", "first"),
            Expect::Same("first", "retry", Part::Status),
        ],
        why: "If a wrong request deletes or overwrites the record, the next retry of the right one pays again, or is told that it failed.",
        fix: "Compare before anything is written, and leave the record alone.",
    },
    Case {
        id: "reordered-json-runs-once",
        title: "The same JSON in another order does not run again",
        rules: &["M-17"],
        severity: Severity::Money,
        needs: &[Need::JsonObject],
        steps: REORDERED,
        expect: &[
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("reordered", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "Clients that build the body anew for each attempt write its members in another order.",
        fix: "Let the key alone find the record. A body that differs is refused or replayed, never run.",
    },
    Case {
        id: "reordered-json-answer",
        title: "The same JSON in another order gets the first answer",
        rules: &["M-17"],
        severity: Severity::Contract,
        needs: &[Need::JsonObject, Need::Promise(Promise::JsonByValue)],
        steps: REORDERED,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Accepted("reordered"),
            Expect::Same("first", "reordered", Part::Body),
        ],
        why: "A retry that is refused as another request leaves the client without the answer that it is entitled to.",
        fix: "Compare JSON by what it means: members sorted, numbers as they are written.",
    },
    Case {
        id: "other-body-answer",
        title: "The same key with another body is refused as a mismatch",
        rules: &["M-17"],
        severity: Severity::Contract,
        needs: &[
            Need::Body,
            Need::Promise(Promise::Status(Refusal::Mismatch)),
        ],
        steps: OTHER_BODY,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Refused("other", Refusal::Mismatch),
        ],
        why: "A status of its own tells the client that its key is used up, and that retrying will not help.",
        fix: "Answer 422, as the IETF draft says.",
    },
    Case {
        id: "mismatch-problem",
        title: "A mismatch is told by a valid problem document",
        rules: &["M-17"],
        severity: Severity::Contract,
        needs: &[Need::Body, Need::Promise(Promise::Problems)],
        steps: OTHER_BODY,
        expect: &[Expect::Succeeds("first"), Expect::Problem("other")],
        why: "Programs read `type` to tell a key that is used up from a field that is wrong; both are 422.",
        fix: "Answer with application/problem+json, with `type`, `title` and the `status` of the answer (RFC 9457).",
    },
    Case {
        id: "mismatch-advice",
        title: "A mismatch says that nothing ran, and that a new key is needed",
        rules: &["M-17"],
        severity: Severity::Advice,
        needs: &[Need::Body, Need::Promise(Promise::Advice)],
        steps: OTHER_BODY,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Status("other", "refused"),
            Expect::Advice(
                "other",
                Advice {
                    executed: "no",
                    next: "new-key",
                },
            ),
        ],
        why: "A program cannot tell from a status alone whether to retry, to take a new key or to give up.",
        fix: "Send `Idempotency-Status: refused`, and `executed` and `next` in the problem document.",
    },
];

const OTHER_BODY: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("other").change(Change::Body)),
];

const REORDERED: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("reordered").change(Change::Reordered)),
];

/// It may run as what it is.
const OTHER: &[Expect] = &[
    Expect::Succeeds("first"),
    Expect::NotTheAnswerOf("other", "first"),
];
