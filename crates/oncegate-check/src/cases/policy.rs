//! What is documented, and whether it is so.
//!
//! That a key is required, and how long it may be, is judged among the cases of keys, by the documents if there are any.

use crate::case::{
    Case, Change, Documented, Expect, Failure, Key, Need, Refusal, Send, Severity, Step, Variant,
};

use super::outcomes::SERVER_ERROR;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "documented-optional",
        title: "Where a key is documented as optional, a request without one is taken",
        rules: &["M-43"],
        severity: Severity::Contract,
        needs: &[Need::Documented(Documented::KeyOptional)],
        steps: &[Step::Send(Send::new("without key").key(Key::Absent))],
        expect: &[Expect::Accepted("without key")],
        why: "Clients that believed the document fail from the first request on.",
        fix: "Document the key as required, or take requests without one.",
    },
    Case {
        id: "documented-length",
        title: "A key of the documented length is taken",
        rules: &["M-43"],
        severity: Severity::Contract,
        needs: &[Need::Documented(Documented::KeyLength)],
        steps: &[Step::Send(Send::new("longest").key(Key::Longest))],
        expect: &[Expect::Accepted("longest")],
        why: "Clients make keys as long as the document permits.",
        fix: "Document the length that is enforced, in bytes.",
    },
    Case {
        id: "documented-mismatch",
        title: "A mismatch has the documented status",
        rules: &["M-43"],
        severity: Severity::Contract,
        needs: &[Need::Documented(Documented::Mismatch), Need::Body],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("other").change(Change::Body)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::AsDocumented("other", Refusal::Mismatch),
        ],
        why: "Clients that were written from the document take the status for something else.",
        fix: "Document the status that is sent.",
    },
    Case {
        id: "documented-in-flight",
        title: "A duplicate in flight has the documented status",
        rules: &["M-43"],
        severity: Severity::Contract,
        needs: &[
            Need::Documented(Documented::InFlight),
            Need::Variant(Variant::Slow),
        ],
        steps: &[
            Step::Start(Send::new("first").variant(Variant::Slow)),
            Step::Send(Send::new("duplicate").variant(Variant::Slow)),
            Step::Join,
        ],
        expect: &[
            Expect::During("duplicate", "first"),
            Expect::Succeeds("first"),
            Expect::AsDocumented("duplicate", Refusal::InFlight),
        ],
        why: "Clients that were written from the document do not come back, or take a new key.",
        fix: "Document the status that is sent.",
    },
    Case {
        id: "documented-server-error",
        title: "A server error is kept, or leaves the key free, as documented",
        rules: &["M-43"],
        severity: Severity::Contract,
        needs: &[
            Need::Documented(Documented::ServerError),
            Need::Variant(Variant::ServerError),
        ],
        steps: SERVER_ERROR,
        expect: &[
            Expect::Fails("first", Failure::Server),
            Expect::DocumentedFate("first", "other"),
        ],
        why: "Whether a retry after a 5xx helps is the first thing that a client's author looks up.",
        fix: "Document what is done.",
    },
    Case {
        id: "discovery-document",
        title: "The published policy is valid, and answers and other documents agree with it",
        rules: &["M-43"],
        severity: Severity::Advice,
        needs: &[],
        steps: &[
            Step::Send(
                Send::new("document")
                    .key(Key::Absent)
                    .change(Change::Discovery),
            ),
            Step::Send(Send::new("first")),
            Step::Send(Send::new("again")),
        ],
        expect: &[Expect::Discovery("document", "first", "again")],
        why: "Clients set themselves up by it: what it gets wrong, they get wrong.",
        fix: "Publish the policy from the configuration that is in force.",
    },
];
