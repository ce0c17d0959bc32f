//! The heart of it: a retry gets the first answer, and nothing runs again.

use crate::case::{Case, Expect, Part, Send, Severity, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "replay-runs-once",
        title: "A retry with the same key and body runs nothing",
        rules: &["M-11"],
        severity: Severity::Money,
        needs: &[],
        steps: TWICE,
        expect: &[
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("retry", "first"),
            Expect::Effects(1),
        ],
        why: "A client that did not hear the answer sends the request again. If that runs again, the customer pays twice.",
        fix: "Record the key before the operation runs, and answer a known key from the record.",
    },
    Case {
        id: "replay-same-status",
        title: "A retry has the status of the first answer",
        rules: &["M-11"],
        severity: Severity::Contract,
        needs: &[],
        steps: TWICE,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Same("first", "retry", Part::Status),
        ],
        why: "A client that gets 200 or 409 where the first answer was 201 takes another branch, though the same thing happened.",
        fix: "Store the status with the body, and replay both.",
    },
    Case {
        id: "replay-same-body",
        title: "A retry has the bytes of the first answer",
        rules: &["M-11"],
        severity: Severity::Contract,
        needs: &[],
        steps: TWICE,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Same("first", "retry", Part::Body),
        ],
        why: "The retry is the only answer that the client ever sees: it needs the id in it, and signatures over it have to match.",
        fix: "Store the body's bytes as they were sent, not a value that is serialised anew.",
    },
    Case {
        id: "replay-same-fields",
        title: "A retry has the header lines that describe the first answer",
        rules: &["M-13"],
        severity: Severity::Contract,
        needs: &[],
        steps: TWICE,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Same("first", "retry", Part::Fields),
        ],
        why: "Without Content-Type a client cannot read the answer, and without Location it does not find what it created.",
        fix: "Store and replay Content-*, Location, ETag, Last-Modified, Link, Cache-Control and Vary.",
    },
    Case {
        id: "replay-marked",
        title: "A retry is marked as a replay, and the first answer is not",
        rules: &["M-12"],
        severity: Severity::Advice,
        needs: &[],
        steps: TWICE,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Unmarked("first"),
            Expect::Marked("retry"),
        ],
        why: "A client that counts successes takes a replayed payment for a new one if it cannot tell them apart.",
        fix: "Send `Idempotent-Replayed: true` with every answer that comes from a record, and with no other.",
    },
];

const TWICE: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("retry")),
];
