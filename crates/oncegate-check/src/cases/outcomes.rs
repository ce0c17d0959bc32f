//! Which outcomes stay with a key, and which leave it free.

use crate::case::{Case, Expect, Failure, Key, Need, Promise, Send, Severity, Step, Variant};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server-error-answer",
        title: "A retry after a server error gets that error or runs, and no other's answer",
        rules: &["M-28"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::ServerError)],
        steps: &[
            Step::Send(Send::new("another").key(Key::Another)),
            Step::Send(Send::new("first").variant(Variant::ServerError)),
            Step::Send(Send::new("retry").variant(Variant::ServerError)),
        ],
        expect: &[
            Expect::Fails("first", Failure::Server),
            Expect::Succeeds("another"),
            Expect::NotTheAnswerOf("retry", "another"),
        ],
        why: "An error path that completes the record with whatever is at hand tells the client that it paid.",
        fix: "On an error, store the error or release the key; nothing else.",
    },
    Case {
        id: "unauthorized-not-kept",
        title: "A request without credentials does not spoil the key",
        rules: &["M-28"],
        severity: Severity::Contract,
        needs: &[Need::Credential],
        steps: &[
            Step::Send(Send::new("without").by_nobody()),
            Step::Send(Send::new("with")),
        ],
        expect: &[
            Expect::Fails("without", Failure::Unauthorized),
            Expect::Accepted("with"),
        ],
        why: "A client whose token ran out gets a new one and sends the same key. If the 401 was kept, it never gets through with it.",
        fix: "Release the key after 401 and 403, or authenticate before the key is claimed.",
    },
    Case {
        id: "server-error-not-stuck",
        title: "After a server error nothing is in flight",
        rules: &["M-28"],
        severity: Severity::Contract,
        needs: &[Need::Variant(Variant::ServerError)],
        steps: &[
            Step::Send(Send::new("first").variant(Variant::ServerError)),
            Step::Send(Send::new("retry").variant(Variant::ServerError)),
        ],
        expect: &[
            Expect::Fails("first", Failure::Server),
            Expect::NotInFlight("retry"),
        ],
        why: "A handler that throws and never gives its claim up leaves a key that answers 409 for hours. The client takes a new key, and that runs.",
        fix: "Release or complete the claim on every way out, exceptions included.",
    },
    Case {
        id: "server-error-fate",
        title: "A server error is kept, or leaves the key free, as the dialect says",
        rules: &["M-28"],
        severity: Severity::Contract,
        needs: &[
            Need::Variant(Variant::ServerError),
            Need::Promise(Promise::Fate(Failure::Server)),
        ],
        steps: SERVER_ERROR,
        expect: &[
            Expect::Fails("first", Failure::Server),
            Expect::Fate("first", "other", Failure::Server),
        ],
        why: "Clients retry a 5xx because they were told that it helps: with a kept error they wait for nothing, with a free key they may run something twice.",
        fix: "Do after a 5xx what your dialect says, and write it down.",
    },
    Case {
        id: "client-error-fate",
        title: "A request that was refused for what it says is kept, as the dialect says",
        rules: &["M-28"],
        severity: Severity::Contract,
        needs: &[
            Need::Variant(Variant::ClientError),
            Need::Promise(Promise::Fate(Failure::Client)),
        ],
        steps: &[
            Step::Send(Send::new("first").variant(Variant::ClientError)),
            Step::Send(Send::new("other")),
        ],
        expect: &[
            Expect::Fails("first", Failure::Client),
            Expect::Fate("first", "other", Failure::Client),
        ],
        why: "A decline that is not kept turns into a success if the retry meets another state, and the client has told its user otherwise.",
        fix: "Keep 4xx but for those that say that nothing was looked at: 401, 403, 408, 425, 429.",
    },
    Case {
        id: "rate-limit-fate",
        title: "A request that was one too many leaves the key free, as the dialect says",
        rules: &["M-28"],
        severity: Severity::Contract,
        needs: &[
            Need::Variant(Variant::RateLimited),
            Need::Promise(Promise::Fate(Failure::RateLimited)),
        ],
        steps: &[
            Step::Send(Send::new("first").variant(Variant::RateLimited)),
            Step::Send(Send::new("other")),
        ],
        expect: &[
            Expect::Fails("first", Failure::RateLimited),
            Expect::Fate("first", "other", Failure::RateLimited),
        ],
        why: "A 429 asks the client to come back with the same request. If it is kept, coming back never helps.",
        fix: "Release the key after 429, or limit rates before the key is claimed.",
    },
    Case {
        id: "status-header",
        title: "Answers say what became of the request",
        rules: &["M-12"],
        severity: Severity::Advice,
        needs: &[Need::Promise(Promise::Advice)],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Status("first", "executed"),
            Expect::Status("retry", "replayed"),
        ],
        why: "A client cannot see whether its key was read, whether the answer is fresh, and whether it will be there for a retry.",
        fix: "Send `Idempotency-Status` with each answer to a request with a key.",
    },
];

pub(super) const SERVER_ERROR: &[Step] = &[
    Step::Send(Send::new("first").variant(Variant::ServerError)),
    Step::Send(Send::new("other")),
];
