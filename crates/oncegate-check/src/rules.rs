//! The rules of Oncegate's contract, and what of each can be seen from outside.
//!
//! A case names the rules that it looks at; here stands what no case can see, and why.

use crate::case::Case;
use crate::cases;

/// A rule of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its number, as `M-01`.
    pub id: &'static str,
    /// What it says, in short.
    pub says: &'static str,
    /// What of it is not seen, and why; for a rule that no case looks at, all of it.
    pub unseen: Option<&'static str>,
}

impl Rule {
    /// The cases that look at it.
    pub fn cases(&self) -> impl Iterator<Item = &'static Case> + use<> {
        let id = self.id;
        cases::all().filter(move |case| case.rules.contains(&id))
    }
}

const fn rule(id: &'static str, says: &'static str) -> Rule {
    Rule {
        id,
        says,
        unseen: None,
    }
}

const fn partly(id: &'static str, says: &'static str, unseen: &'static str) -> Rule {
    Rule {
        id,
        says,
        unseen: Some(unseen),
    }
}

/// All rules, in their order.
pub const RULES: &[Rule] = &[
    rule(
        "M-01",
        "a quoted key is a structured-field string; parameters are no part of it",
    ),
    rule(
        "M-02",
        "what is no key is refused, and never taken for no key",
    ),
    rule("M-03", "more than one line of keys is refused"),
    rule("M-04", "a bare key is the same as a quoted one"),
    rule("M-05", "the length of keys is bounded"),
    rule("M-06", "where a key is required, none is refused"),
    partly(
        "M-07",
        "where a key is optional, none is forwarded; spellings of a path do not matter",
        "That a request without a key costs the store nothing is not seen: the store is not.",
    ),
    partly(
        "M-08",
        "safe methods pass through",
        "Upgrades, CONNECT and gRPC are not tried.",
    ),
    rule("M-09", "trailers carry no key"),
    partly(
        "M-10",
        "simultaneous firsts run once",
        "Over several processes only if the address leads to several.",
    ),
    rule(
        "M-11",
        "a replay has the status, lines and bytes of the first answer",
    ),
    rule("M-12", "replays are marked, fresh answers are not"),
    rule("M-13", "which header lines are replayed"),
    partly(
        "M-14",
        "the outcome is durable before the caller sees the end of the answer",
        "Only with a command that restarts the server.",
    ),
    partly(
        "M-15",
        "1xx and 101 are never kept",
        "A tester cannot make an API send them.",
    ),
    partly(
        "M-16",
        "a duplicate in flight is refused, or waits",
        "Bounds on those that wait are not tried: the check is gentle.",
    ),
    rule("M-17", "a mismatch is refused, and leaves the record alone"),
    partly(
        "M-18",
        "a mismatch is told before that the first is in flight",
        "Only with a slow form of the operation.",
    ),
    rule("M-19", "another query, path or method is another request"),
    partly(
        "M-20",
        "the lease is apart from the retention",
        "A caller sees neither of them; a check does not wait for a retention to end.",
    ),
    partly(
        "M-21",
        "an execution that is longer than its lease stays single",
        "How long a lease is, is not seen. A slow form longer than it, with the cases of duplicates in flight, would show it.",
    ),
    partly(
        "M-22",
        "a late write has no effect",
        "It takes two servers, one of them stopped in the midst of its work.",
    ),
    partly(
        "M-23",
        "a record that goes between two looks does not lead to an unclaimed execution",
        "The moment cannot be hit from outside.",
    ),
    partly(
        "M-24",
        "a caller that leaves cancels nothing",
        "Over HTTP/1.1; the check does not speak HTTP/2.",
    ),
    partly("M-25", "without the store nothing runs", STORE),
    partly(
        "M-26",
        "an outcome that cannot be stored is told, and tried again",
        STORE,
    ),
    partly(
        "M-27",
        "a panic settles the key as unknown",
        "A tester cannot make a server panic; a form that fails by a 5xx shows what follows.",
    ),
    partly(
        "M-28",
        "which outcomes are kept",
        "Failures are seen where the operation has a form that fails so.",
    ),
    rule("M-29", "refusals are never kept"),
    partly(
        "M-30",
        "no keyed request is sent twice by the proxy itself",
        "What goes on between a proxy and its upstream is not seen, but for effects that are counted.",
    ),
    partly(
        "M-31",
        "a truncated answer is never taken for a whole one",
        "It takes an upstream that breaks off.",
    ),
    partly(
        "M-32",
        "a shutdown lets executions end",
        "A restart in mid-request is tried; how long a server waits is its own affair.",
    ),
    rule("M-33", "two principals with one key never meet"),
    partly(
        "M-34",
        "a request with a credential that does not count is refused",
        "Which credentials count is not seen; that nobody gets an answer without any is.",
    ),
    partly(
        "M-35",
        "the principal is never an unverified claim",
        "Forging credentials is not a check's business; that none at all gets nothing is seen.",
    ),
    rule("M-36", "refusals tell nothing of another principal"),
    partly(
        "M-37",
        "keys, credentials and bodies are in no log",
        "Logs are not seen.",
    ),
    partly(
        "M-38",
        "records, quotas and stores are bounded",
        "A check that fills a store is an attack.",
    ),
    partly(
        "M-39",
        "a body that is too large is refused",
        "Where the bound lies is not known; two mebibytes are tried.",
    ),
    partly(
        "M-40",
        "an answer that is too large to keep is passed on, and its retry refused",
        "Where the bound lies is not known: a large form that is over it fails the case of large answers.",
    ),
    partly(
        "M-41",
        "retention counts from completion, on the store's clock",
        "A check does not wait for a day.",
    ),
    partly(
        "M-42",
        "expiry is judged by stored times",
        "A check does not wait for a day.",
    ),
    rule("M-43", "the policy is published"),
];

const STORE: &str = "It takes a store that fails; nothing reaches it from outside.";
