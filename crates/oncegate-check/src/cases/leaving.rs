//! Callers that go away: before their request is whole, while it runs, and in the middle of the answer.

use crate::case::{Case, Expect, Key, Need, Part, Send, Severity, Step, Variant};
use crate::wire::Leave;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "lost-answer-runs-once",
        title: "A request whose answer is lost, and that is sent again at once, runs once",
        rules: &["M-10", "M-24"],
        severity: Severity::Money,
        needs: &[],
        steps: &[
            // Some servers do not begin a request whose caller has left before they look; so the next one stays a moment.
            Step::Send(Send::new("lost").leave(Leave::AfterRequest)),
            Step::Send(Send::new("again").leave(Leave::WhileRunning)),
            Step::Settle(Send::new("retry")),
        ],
        expect: &[
            Expect::Unheard("lost"),
            Expect::Heard("retry"),
            Expect::Effects(1),
        ],
        why: "Mobile networks drop connections, and clients send again in the same millisecond: the first request is still at work, and its key must not be forgotten because nobody listens any more.",
        fix: "Keep the claim until the operation has ended, whether the caller is still there or not.",
    },
    Case {
        id: "left-while-running",
        title: "A caller that leaves while its request runs gets the outcome when it comes back",
        rules: &["M-24"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Slow)],
        steps: &[
            Step::Send(
                Send::new("left")
                    .variant(Variant::Slow)
                    .leave(Leave::WhileRunning),
            ),
            Step::Settle(Send::new("retry").variant(Variant::Slow)),
        ],
        expect: &[
            Expect::Unheard("left"),
            Expect::Heard("retry"),
            Expect::Effects(1),
        ],
        why: "Many frameworks stop a handler whose caller has closed the connection. It stops half-way: the money has moved and the key says nothing, or the key stays in flight for ever.",
        fix: "Run the operation and the record of its outcome in a task of their own that does not end with the connection.",
    },
    Case {
        id: "half-body-runs-nothing",
        title: "A request whose caller leaves in the middle of the body does not run",
        rules: &["M-24"],
        severity: Severity::Money,
        needs: &[Need::Body],
        steps: &[Step::Send(Send::new("half").leave(Leave::InBody))],
        expect: &[Expect::Unheard("half"), Expect::Effects(0)],
        why: "Half an order is no order: what the other half said, nobody knows.",
        fix: "Read the body to its announced end before anything runs, and drop the request if it ends early.",
    },
    Case {
        id: "half-body-frees-key",
        title: "A caller that left in the middle of the body can send the request again",
        rules: &["M-24"],
        severity: Severity::Money,
        needs: &[Need::Body],
        steps: &[
            Step::Send(Send::new("half").leave(Leave::InBody)),
            Step::Quiet,
            Step::Settle(Send::new("retry")),
        ],
        expect: &[
            Expect::Unheard("half"),
            Expect::Heard("retry"),
            Expect::Effects(1),
        ],
        why: "If the key was taken before the body was whole, the client is told that its request is in flight, or another one, and the operation never runs.",
        fix: "Claim the key when the body is whole, and not before.",
    },
    Case {
        id: "cut-answer-is-whole",
        title: "A caller that leaves in the middle of the answer gets the whole answer when it comes back",
        rules: &["M-24", "M-31"],
        severity: Severity::Money,
        needs: &[Need::Variant(Variant::Large)],
        steps: &[
            Step::Send(Send::new("other").key(Key::Another).variant(Variant::Large)),
            Step::Send(
                Send::new("cut")
                    .variant(Variant::Large)
                    .leave(Leave::InAnswer),
            ),
            Step::Quiet,
            Step::Settle(Send::new("retry").variant(Variant::Large)),
        ],
        expect: &[
            Expect::Succeeds("other"),
            Expect::Kind("other", Variant::Large),
            Expect::Heard("retry"),
            Expect::Same("other", "retry", Part::Length),
            Expect::Effects(2),
        ],
        why: "A record that is made of what was sent ends where the first caller hung up: each retry gets the same half.",
        fix: "Record the answer as the operation gave it, not as the connection took it, and never keep one that was cut.",
    },
];
