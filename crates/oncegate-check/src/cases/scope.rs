//! A key belongs to a principal: two of them never meet, whatever keys they choose.

use crate::case::{Case, Expect, Key, Need, Send, Severity, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "another-principal-answer",
        title: "Another principal with the same key does not get the first one's answer",
        rules: &["M-33"],
        severity: Severity::Money,
        needs: &[Need::SecondPrincipal],
        steps: ANOTHER,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Succeeds("own"),
            Expect::NotTheAnswerOf("same key", "first"),
            Expect::RevealsNothingOf("same key", "first"),
        ],
        why: "Keys such as an order's number are guessed or shared. Whoever sends one reads another's answer, and its own payment never happens.",
        fix: "Find records by principal and key, not by the key alone.",
    },
    Case {
        id: "no-credential-answer",
        title: "Without credentials nobody gets an answer by its key",
        rules: &["M-34", "M-35"],
        severity: Severity::Money,
        needs: &[Need::Credential],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Send(Send::new("nobody").by_nobody()),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::NotTheAnswerOf("nobody", "first"),
            Expect::RevealsNothingOf("nobody", "first"),
        ],
        why: "Where the record is asked before the credentials are, a key is as good as a password, and it stands in logs.",
        fix: "Authenticate first, and look the key up in the principal's own records.",
    },
    Case {
        id: "another-principal-runs",
        title: "Another principal with the same key runs by itself",
        rules: &["M-33", "M-36"],
        severity: Severity::Contract,
        needs: &[Need::SecondPrincipal],
        steps: ANOTHER,
        expect: &[
            Expect::Succeeds("first"),
            Expect::Succeeds("own"),
            Expect::Accepted("same key"),
        ],
        why: "A refusal tells one customer what another one's keys are, and lets it block them.",
        fix: "Find records by principal and key: another principal's record is none.",
    },
];

/// The second principal shows first that it can do it at all.
const ANOTHER: &[Step] = &[
    Step::Send(Send::new("first")),
    Step::Send(Send::new("own").key(Key::Another).by_another()),
    Step::Send(Send::new("same key").by_another()),
];
