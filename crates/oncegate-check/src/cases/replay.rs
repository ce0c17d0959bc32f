//! The heart of it: a retry gets the first answer, and nothing runs again.

use crate::case::{Case, Change, Expect, Key, Need, Part, Send, Severity, Step};

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
        why: "Without Content-Type a client cannot read the answer, and without ETag or Cache-Control it treats it as another one.",
        fix: "Store and replay Content-*, ETag, Last-Modified, Link, Cache-Control and Vary.",
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
    Case {
        id: "later-retry-runs-once",
        title: "A retry a second later runs nothing",
        rules: &["M-41"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Pause,
            Step::Send(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("retry", "first"),
            Expect::Effects(1),
        ],
        why: "Retries come after a time-out, with a back-off, or from a person: a guard that forgets within a second, or holds its lock only while the first request runs, guards against double clicks alone.",
        fix: "Keep keys for a day at least, from the end of the first request.",
    },
    Case {
        id: "no-key-no-replay",
        title: "Two equal requests without a key both run",
        rules: &["M-07"],
        severity: Severity::Money,
        needs: &[Need::KeyOptional],
        steps: &[
            Step::Send(Send::new("one").key(Key::Absent)),
            Step::Send(Send::new("two").key(Key::Absent)),
        ],
        expect: &[
            Expect::Succeeds("one"),
            Expect::Succeeds("two"),
            Expect::Effects(2),
        ],
        why: "Two people may order the same thing. An API that guesses from the body that the second is a retry drops a real order, and nobody hears of it.",
        fix: "Let the key alone decide. Where retries without a key have to be caught, require the key.",
    },
    Case {
        id: "get-is-no-replay",
        title: "A GET with the key of a POST is answered as a GET",
        rules: &["M-08"],
        severity: Severity::Contract,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(
                Send::new("bare")
                    .key(Key::Absent)
                    .change(Change::Method("GET")),
            ),
            Step::Send(Send::new("keyed").change(Change::Method("GET"))),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Same("bare", "keyed", Part::Status),
            Expect::Unlike("keyed", "first"),
        ],
        why: "Clients send the key with all that they send. Reading is idempotent without it, and must neither be refused nor answered from the record of a write.",
        fix: "Look at the key on methods that change something, and on no other.",
    },
];

const TWICE: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("retry")),
];
