//! Kinds of answers that records are often not made for, and lines that no record may bring back.

use crate::case::{Case, Change, Expect, Need, Part, Send, Severity, Step, Variant};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "replay-binary",
        title: "An answer that is not text is replayed byte for byte",
        rules: &["M-11"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Binary)],
        steps: &twice(Variant::Binary),
        expect: &whole(Variant::Binary),
        why: "A receipt as PDF or an image that went through a text column comes back broken, and cannot be fetched otherwise.",
        fix: "Store bodies as bytes.",
    },
    Case {
        id: "replay-empty",
        title: "An answer without a body is replayed without one",
        rules: &["M-11"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Empty)],
        steps: &twice(Variant::Empty),
        expect: &whole(Variant::Empty),
        why: "A record without a body is easily taken for no record, or comes back as `null` under status 200.",
        fix: "Store that there was no body, and replay the status with none.",
    },
    Case {
        id: "replay-chunked",
        title: "An answer in chunks is replayed whole",
        rules: &["M-11"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Chunked)],
        steps: &twice(Variant::Chunked),
        expect: &whole(Variant::Chunked),
        why: "A recorder that hooks the last write stores the last chunk only, or nothing.",
        fix: "Collect all chunks, and store them when the last was written.",
    },
    Case {
        id: "replay-large",
        title: "A large answer is replayed whole",
        rules: &["M-11", "M-40"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Large)],
        steps: &twice(Variant::Large),
        expect: &whole(Variant::Large),
        why: "Stores cut values at their limit without a word: the client gets half of its answer, and every retry gets the same half.",
        fix: "Refuse to store what does not fit, say so in the retry's answer, and never cut.",
    },
    Case {
        id: "replay-location",
        title: "A retry has the Location of the first answer",
        rules: &["M-13"],
        severity: Severity::Contract,
        needs: &[],
        steps: &twice(Variant::Plain),
        expect: &[
            Expect::Succeeds("first"),
            Expect::Same("first", "retry", Part::Location),
        ],
        why: "Without Location a client that did not hear the first answer does not find what it created.",
        fix: "Store Location with the answer, and replay it.",
    },
    Case {
        id: "replay-no-cookie",
        title: "A retry sets no cookie again",
        rules: &["M-13"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::Cookie)],
        steps: &twice(Variant::Cookie),
        expect: &[
            Expect::Succeeds("first"),
            Expect::Kind("first", Variant::Cookie),
            Expect::Succeeds("retry"),
            Expect::Without("retry", "set-cookie"),
        ],
        why: "A cookie from the record puts the client back into a session that has been changed or ended since.",
        fix: "Leave Set-Cookie out of the record.",
    },
    Case {
        id: "replay-no-hop-by-hop",
        title: "A retry repeats no line that was for the first connection alone",
        rules: &["M-13"],
        severity: Severity::Advice,
        needs: &[],
        steps: &twice(Variant::Plain),
        expect: &[
            Expect::Succeeds("first"),
            Expect::Succeeds("retry"),
            Expect::NoHopByHop("first", "retry"),
        ],
        why: "Lines that Connection names say something of one connection. On another one they are wrong, and proxies act on them.",
        fix: "Store end-to-end lines only.",
    },
    Case {
        id: "replay-fresh-date",
        title: "A retry has the date of its own answer, or none",
        rules: &["M-13"],
        severity: Severity::Advice,
        needs: &[],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Pause,
            Step::Send(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Succeeds("retry"),
            Expect::FreshDate("first", "retry"),
        ],
        why: "Caches and clients reckon ages from Date: with an old one the answer is stale when it comes.",
        fix: "Leave Date and Age out of the record, and let the server set them.",
    },
    Case {
        id: "chunked-is-the-same",
        title: "The same request in chunks is the same request",
        rules: &["M-17"],
        severity: Severity::Contract,
        needs: &[Need::Body],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("retry").change(Change::Chunked)),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Heard("retry"),
            Expect::Effects(1),
        ],
        why: "Proxies frame requests anew. A retry that takes another way must not be refused as another request.",
        fix: "Compare method, target and body, and leave Content-Length and Transfer-Encoding out.",
    },
];

const fn twice(variant: Variant) -> [Step; 2] {
    [
        Step::Send(Send::new("first").variant(variant)),
        Step::Send(Send::new("retry").variant(variant)),
    ]
}

const fn whole(variant: Variant) -> [Expect; 6] {
    [
        Expect::Succeeds("first"),
        Expect::Kind("first", variant),
        Expect::Same("first", "retry", Part::Status),
        Expect::Same("first", "retry", Part::Body),
        Expect::Same("first", "retry", Part::Fields),
        Expect::Effects(1),
    ]
}
