//! What becomes of a key whose request failed.

use super::Judgement::{Broken, Holds, Unclear};
use super::{Court, Judgement, says_unknown};
use crate::case::{Failure, Refusal};
use crate::dialect::Fate;
use crate::wire::Response;

impl Court<'_> {
    pub(super) fn fails(&self, label: &str, failure: Failure) -> Judgement {
        match self.response(label) {
            Ok(response) if failure.is_shown_by(response.status) => Holds,
            Ok(response) => Unclear(format!(
                "{label}: answered {}, and no {} that a case could be made of",
                response.status,
                failure.name()
            )),
            Err(judgement) => judgement,
        }
    }

    pub(super) fn accepted(&self, label: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if response.is_success() => Holds,
            Ok(response) => Broken(format!(
                "{label}: answered {}, and had to be taken",
                response.status
            )),
            Err(judgement) => judgement,
        }
    }

    /// That nobody knows the outcome is an honest answer, and not that the first is running.
    pub(super) fn not_in_flight(&self, label: &str) -> Judgement {
        let in_flight = self.stage.dialect.statuses(Refusal::InFlight);
        match self.response(label) {
            Ok(response) if in_flight.contains(&response.status) && !says_unknown(response) => {
                Broken(format!(
                    "{label}: answered {}, though nothing is in flight any more",
                    response.status
                ))
            }
            Ok(_) => Holds,
            Err(judgement) => judgement,
        }
    }

    pub(super) fn fate(&self, first: &str, other: &str, failure: Failure) -> Judgement {
        let dialect = self.stage.dialect;
        let source = format!("the dialect {}", dialect.name);
        self.fate_is(first, other, dialect.fate(failure), &source)
    }

    pub(super) fn documented_fate(&self, first: &str, other: &str) -> Judgement {
        let documented = self.stage.operation.documented.as_ref();
        let fate = documented.and_then(|policy| policy.server_error);
        let fate = fate.unwrap_or(Fate::Open);
        self.fate_is(first, other, fate, "the API's document")
    }

    fn fate_is(&self, first: &str, other: &str, expected: Fate, source: &str) -> Judgement {
        let (failed, other) = match self.pair(first, other) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        let status = failed.status;
        match (self.seen_fate(failed, other), expected) {
            (Fate::Kept, Fate::Kept) | (Fate::Released, Fate::Released) => Holds,
            (Fate::Kept, Fate::Released) => Broken(format!(
                "the {status} was kept, where {source} leaves the key free"
            )),
            (Fate::Released, Fate::Kept) => Broken(format!(
                "the key was free after the {status}, where {source} keeps it"
            )),
            (Fate::Open, _) => Unclear(format!(
                "{} after a {status} shows neither that it was kept nor that the key is free",
                other.status
            )),
            (_, Fate::Open) => Unclear(format!("{source} does not say what becomes of the key")),
        }
    }

    /// Another request under the key of one that failed: it is done if the key is free, and meets the failure, or is
    /// refused as another request, if that was kept.
    fn seen_fate(&self, failed: &Response, other: &Response) -> Fate {
        // Sent, and no answer: such a key is neither kept nor free.
        if failed.status == GATEWAY_TIMEOUT {
            return Fate::Open;
        }
        if other.is_success() {
            return Fate::Released;
        }
        let mismatch = self.stage.dialect.statuses(Refusal::Mismatch);
        let is_mismatch = mismatch.contains(&other.status) || MISMATCHES.contains(&other.status);
        let is_replay = failed.status == other.status && failed.body == other.body;
        if is_replay || is_mismatch {
            Fate::Kept
        } else {
            Fate::Open
        }
    }
}

impl Failure {
    const fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "401 or 403",
            Self::Client => "4xx for what it says",
            Self::RateLimited => "429",
            Self::Server => "5xx",
        }
    }

    const fn is_shown_by(self, status: u16) -> bool {
        match self {
            Self::Unauthorized => matches!(status, 401 | 403),
            // The others say that nothing was looked at, or that somebody else has to be asked first.
            Self::Client => {
                status / 100 == 4
                    && !matches!(status, 401 | 403 | 407 | 408 | 421 | 423 | 425 | 429)
            }
            Self::RateLimited => status == 429,
            Self::Server => status / 100 == 5,
        }
    }
}

const GATEWAY_TIMEOUT: u16 = 504;
/// Whatever a dialect's word for it, these are said of a request that is done under any other key.
const MISMATCHES: &[u16] = &[400, 422];
