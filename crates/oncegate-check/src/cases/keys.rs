//! What is a key, and what is none: nothing that was meant as a key may be taken for no key.

use crate::case::{Case, Expect, Key, Need, Promise, Refusal, Send, Severity, Step};

/// The same request twice under what is no key: refused or answered from a record, and never run twice.
macro_rules! never_twice {
    ($id:literal, $title:literal, [$rule:literal], $key:expr, $why:expr, $fix:expr) => {
        Case {
            id: $id,
            title: $title,
            rules: &[$rule],
            severity: Severity::Money,
            needs: &[],
            steps: &[
                Step::Send(Send::new("first").key($key)),
                Step::Send(Send::new("again").key($key)),
            ],
            expect: &[Expect::EffectsAtMost(1)],
            why: $why,
            fix: $fix,
        }
    };
}

pub(super) const CASES: &[Case] = &[
    never_twice!(
        "empty-key-runs-once",
        "A request with an empty key does not run twice",
        ["M-02"],
        Key::Empty,
        "A client whose key was lost on the way (an unset variable, a template) sends an empty line, and believes itself safe.",
        "Tell an empty line from no line: refuse it with 400. `if (!key) next()` takes it for a request without a key."
    ),
    never_twice!(
        "long-key-runs-once",
        "A request with a key that is too long does not run twice",
        ["M-05"],
        Key::TooLong(0),
        "Dropping a key that does not fit into the column leaves the client with no protection, and nobody tells it.",
        "Refuse a key over the limit with 400 before anything runs."
    ),
    Case {
        id: "long-keys-apart",
        title: "Two long keys that differ only at their end are two keys",
        rules: &["M-05"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first").key(Key::TooLong(0))),
            Step::Send(Send::new("second").key(Key::TooLong(1))),
        ],
        expect: &[Expect::NotTheAnswerOf("second", "first")],
        why: "Where keys are cut to the length of a column, the second order gets the first one's answer and never happens.",
        fix: "Refuse a key over the limit with 400; never truncate it. MySQL without strict mode does it in silence.",
    },
    Case {
        id: "permitted-keys-apart",
        title: "Two keys of a permitted length that differ only at their end are two keys",
        rules: &["M-05"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first").key(Key::OfLength(65, 0))),
            Step::Send(Send::new("second").key(Key::OfLength(65, 1))),
            Step::Send(Send::new("longer").key(Key::OfLength(129, 0))),
            Step::Send(Send::new("as long").key(Key::OfLength(129, 1))),
            Step::Send(Send::new("longest").key(Key::OfLength(u8::MAX, 0))),
            Step::Send(Send::new("last").key(Key::OfLength(u8::MAX, 1))),
        ],
        expect: &[
            Expect::NotTheAnswerOf("second", "first"),
            Expect::NotTheAnswerOf("as long", "longer"),
            Expect::NotTheAnswerOf("last", "longest"),
        ],
        why: "A column of 64 or 128 letters cuts what the check at the door let through: keys that begin alike, as those of one tenant or one day do, become one.",
        fix: "Let the column hold the longest key that is taken, and refuse longer ones.",
    },
    never_twice!(
        "unbalanced-key-runs-once",
        "A request whose key has a quote that is never closed does not run twice",
        ["M-02"],
        Key::Unbalanced,
        MALFORMED_WHY,
        MALFORMED_FIX
    ),
    never_twice!(
        "control-key-runs-once",
        "A request whose key has a control byte in it does not run twice",
        ["M-02"],
        Key::Control,
        MALFORMED_WHY,
        MALFORMED_FIX
    ),
    never_twice!(
        "non-ascii-key-runs-once",
        "A request whose key has a byte in it that is not ASCII does not run twice",
        ["M-02"],
        Key::NotAscii,
        MALFORMED_WHY,
        MALFORMED_FIX
    ),
    never_twice!(
        "key-list-runs-once",
        "A request with two keys on one line does not run twice",
        ["M-02"],
        Key::List,
        MALFORMED_WHY,
        MALFORMED_FIX
    ),
    never_twice!(
        "two-key-lines-run-once",
        "A request with two lines of keys does not run twice",
        ["M-03"],
        Key::OnTwoLines,
        "A proxy that adds a key to one that is there sends two lines. Libraries hand on the first, the last, both or a list, which then is no text and counts as no key.",
        "Refuse more than one line with 400, even where both are the same."
    ),
    Case {
        id: "quoted-key-is-bare-key",
        title: "The same key with and without quotes does not run twice",
        rules: &["M-01", "M-04"],
        severity: Severity::Money,
        needs: &[Need::Promise(Promise::StructuredKeys)],
        steps: &[
            Step::Send(Send::new("quoted").key(Key::Quoted)),
            Step::Send(Send::new("bare").key(Key::Bare)),
        ],
        expect: &[
            Expect::Succeeds("quoted"),
            Expect::RefusedOrSame("bare", "quoted"),
            Expect::EffectsAtMost(1),
        ],
        why: "The draft's keys stand in quotes, and most clients leave them out. A client that is updated between two attempts sends both.",
        fix: "Read the line as a structured-field string; take a bare value for the same key, or refuse it.",
    },
    Case {
        id: "parameters-are-not-key",
        title: "A parameter behind the key does not make it another key",
        rules: &["M-01"],
        severity: Severity::Money,
        needs: &[Need::Promise(Promise::StructuredKeys)],
        steps: &[
            Step::Send(Send::new("first").key(Key::Quoted)),
            Step::Send(Send::new("retry").key(Key::WithParameter)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::RefusedOrSame("retry", "first"),
            Expect::EffectsAtMost(1),
        ],
        why: "A client that counts its attempts in a parameter would pay once for each of them.",
        fix: "Compare the string inside the quotes, and nothing behind it.",
    },
    Case {
        id: "keys-are-case-sensitive",
        title: "Keys that differ in case are two keys",
        rules: &["M-01"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first").key(Key::Letters)),
            Step::Send(Send::new("second").key(Key::Capitals)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::NotTheAnswerOf("second", "first"),
        ],
        why: "Random keys use both cases. Where they are folded, the second operation gets the first one's answer and never happens.",
        fix: "Compare bytes: a binary collation for the column, no lower() on the way.",
    },
    Case {
        id: "trailer-is-no-key",
        title: "A key behind the body is no key",
        rules: &["M-09"],
        severity: Severity::Contract,
        needs: &[],
        steps: &[
            Step::Send(Send::new("in trailer").key(Key::InTrailer)),
            Step::Send(Send::new("in header").key(Key::Plain)),
        ],
        expect: &[
            Expect::Succeeds("in header"),
            Expect::NotTheAnswerOf("in header", "in trailer"),
        ],
        why: "Proxies drop trailers, or judge by the head alone: a key that counts only sometimes protects nobody.",
        fix: "Read the key from the head, and do not merge trailers into it.",
    },
    Case {
        id: "missing-key-answer",
        title: "Where a key is required, a request without one is refused and runs nothing",
        rules: &["M-06"],
        severity: Severity::Contract,
        needs: &[
            Need::KeyRequired,
            Need::Promise(Promise::Status(Refusal::Missing)),
        ],
        steps: &[Step::Send(Send::new("without key").key(Key::Absent))],
        expect: &[
            Expect::Refused("without key", Refusal::Missing),
            Expect::EffectsAtMost(0),
        ],
        why: "A client that forgot its key works well until its first time-out, and then pays twice.",
        fix: "Answer 400 before anything runs, and say which header is missing.",
    },
    Case {
        id: "malformed-key-answer",
        title: "What is no key is refused as none",
        rules: &["M-02", "M-03"],
        severity: Severity::Contract,
        needs: &[Need::Promise(Promise::Status(Refusal::Malformed))],
        steps: &[
            Step::Send(Send::new("open quote").key(Key::Unbalanced)),
            Step::Send(Send::new("control byte").key(Key::Control)),
            Step::Send(Send::new("not ASCII").key(Key::NotAscii)),
            Step::Send(Send::new("list").key(Key::List)),
            Step::Send(Send::new("two lines").key(Key::OnTwoLines)),
        ],
        expect: &[
            Expect::Refused("open quote", Refusal::Malformed),
            Expect::Refused("control byte", Refusal::Malformed),
            Expect::Refused("not ASCII", Refusal::Malformed),
            Expect::Refused("list", Refusal::Malformed),
            Expect::Refused("two lines", Refusal::Malformed),
        ],
        why: "What one server takes for a key, the next one on the path reads as another, or as none.",
        fix: "Parse the line as a structured-field string, and answer 400 to what is none.",
    },
    Case {
        id: "empty-key-answer",
        title: "An empty key is refused",
        rules: &["M-02"],
        severity: Severity::Contract,
        needs: &[Need::Promise(Promise::Status(Refusal::Malformed))],
        steps: &[Step::Send(Send::new("empty").key(Key::Empty))],
        expect: &[Expect::Refused("empty", Refusal::Malformed)],
        why: "All clients that lost their keys would share one key, and get each other's answers.",
        fix: "Answer 400.",
    },
    Case {
        id: "long-key-answer",
        title: "A key that is too long is refused",
        rules: &["M-05"],
        severity: Severity::Contract,
        needs: &[
            Need::Promise(Promise::KeyLength),
            Need::Promise(Promise::Status(Refusal::Malformed)),
        ],
        steps: &[Step::Send(Send::new("too long").key(Key::TooLong(0)))],
        expect: &[Expect::Refused("too long", Refusal::Malformed)],
        why: "A limit that is not enforced at the edge is found by the database, as a 500 or as a key that was cut.",
        fix: "Check the length before anything is looked up, and answer 400.",
    },
    Case {
        id: "longest-key",
        title: "A key of just the longest length is taken",
        rules: &["M-05"],
        severity: Severity::Contract,
        needs: &[Need::Promise(Promise::KeyLength)],
        steps: &[Step::Send(Send::new("longest").key(Key::Longest))],
        expect: &[Expect::Accepted("longest")],
        why: "Clients make keys as long as the documents permit.",
        fix: "Permit the documented length, in bytes and without the quotes.",
    },
    Case {
        id: "key-echoed",
        title: "Answers repeat the key",
        rules: &[],
        severity: Severity::Advice,
        needs: &[Need::Promise(Promise::Echo)],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Echoed("first"),
            Expect::Echoed("retry"),
        ],
        why: "It is the proof that the key was read: a client that gets none back has no protection, and should know.",
        fix: "Send the header of the key with the answer, as it came.",
    },
];

const MALFORMED_WHY: &str = "A parser that gives up says \"no key\", and the request runs without protection. The client has sent one, and believes itself safe.";
const MALFORMED_FIX: &str = "Tell \"there is a line that holds no key\" from \"there is no line\": answer 400 to the first.";
