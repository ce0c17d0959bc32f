//! The server dies and comes back. For all of it a command is needed that restarts it.

use crate::case::{Case, Expect, Need, Send, Severity, Step, Variant};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "restart-keeps-keys",
        title: "A key that was answered is still known after a restart",
        rules: &["M-14"],
        severity: Severity::Money,
        needs: &[Need::Chaos],
        steps: &[
            Step::Send(Send::new("first")),
            Step::Chaos,
            Step::Settle(Send::new("retry")),
        ],
        expect: &[
            Expect::Succeeds("first"),
            Expect::Heard("retry"),
            Expect::RefusedOrSame("retry", "first"),
            Expect::Effects(1),
        ],
        why: "A restart is when answers get lost, so it is when retries come. Keys in the memory of a process are gone just then.",
        fix: "Write the outcome to durable storage before the answer is sent.",
    },
    Case {
        id: "crash-runs-once",
        title: "A request that was running when the server died never runs twice",
        rules: &["M-14", "M-41"],
        severity: Severity::Money,
        needs: &[Need::Chaos, Need::Variant(Variant::Slow)],
        steps: CRASH,
        expect: &[Expect::Unheard("first"), Expect::EffectsAtMost(1)],
        why: "Nobody recorded the outcome, so the key looks as if nothing had run. Whoever runs it again may charge twice.",
        fix: "Record the claim before anything runs, and treat a claim without an outcome as unknown; or write effect and outcome in one transaction.",
    },
    Case {
        id: "crash-is-told",
        title: "A retry after a crash gets the outcome, or is told that it is unknown",
        rules: &["M-41"],
        severity: Severity::Contract,
        needs: &[Need::Chaos, Need::Variant(Variant::Slow)],
        steps: CRASH,
        expect: &[Expect::Unheard("first"), Expect::Told("retry")],
        why: "A key that stays in flight after its server has died keeps the client waiting for what nobody works at.",
        fix: "Let a claim lapse when its holder is gone, and say that the outcome is unknown, or run again where that is safe.",
    },
];

const CRASH: &[Step] = &[
    Step::Start(Send::new("first").variant(Variant::Slow)),
    Step::Chaos,
    Step::Join,
    Step::Settle(Send::new("retry").variant(Variant::Slow)),
];
