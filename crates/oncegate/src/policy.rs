//! What an operator may choose, as plain data. Every default is explained in `docs/defaults.md`.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::fingerprint::FingerprintRules;
use crate::key::KeyRules;
use crate::record::Retention;
use crate::scope::ScopeRules;

/// The policy of one route. An execution keeps the policy that it began with.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: built with `..Policy::default()`"
)]
pub struct Policy {
    /// Methods that take keys; compared without regard to case. Safe methods never do.
    pub methods: Vec<Method>,
    /// Whether a request must carry a key.
    pub key: KeyUse,
    /// Syntax, format and length of keys.
    pub key_rules: KeyRules,
    /// Names under which the key comes: the canonical one, then aliases.
    pub key_header: Vec<HeaderName>,
    /// Whom a key belongs to.
    pub scope: ScopeRules,
    /// How two requests are compared.
    pub fingerprint: FingerprintRules,
    /// Whether a new key that is older than our memory is refused: it may be a retry of what was forgotten. Needs keys
    /// with a time in them.
    pub first_sent: bool,
    /// How long a completed record is replayed, from its completion.
    pub retention: Duration,
    /// How long an expired record is remembered, so that a very late retry is refused.
    pub tombstones: Duration,
    /// How long an unknown outcome stays unknown.
    pub unknown_retention: Duration,
    /// How long a claim is honoured without renewal.
    pub lease: Duration,
    /// What a duplicate in flight gets.
    pub in_flight: InFlight,
    /// How long a duplicate waits at most, with [`InFlight::Wait`].
    pub wait_timeout: Duration,
    /// What a 5xx outcome means.
    pub on_server_error: OnServerError,
    /// Statuses that mean: nothing ran, the key is free.
    pub transient_statuses: Vec<StatusCode>,
    /// Statuses that mean: it may have run.
    pub unknown_statuses: Vec<StatusCode>,
    /// The status of a mismatch.
    pub mismatch_status: StatusCode,
    /// In whose words refusals are written.
    pub dialect: Dialect,
    /// What a retry gets whose outcome is unknown.
    pub on_unknown: OnUnknown,
    /// What happens if the store cannot be reached at the claim.
    pub store_down: StoreDown,
    /// How long one step of the store may take before the caller is answered.
    pub store_timeout: Duration,
    /// How long the caller waits for an outcome to be recorded that the store does not take.
    pub complete_timeout: Duration,
    /// After this the caller is answered `still-running`; the execution goes on.
    pub answer_timeout: Duration,
    /// How long an execution may take in all.
    pub upstream_timeout: Duration,
    /// A keyed request takes no upstream connection that was idle longer.
    pub keyed_idle_max: Duration,
    /// Request bodies up to this size are held in memory; larger ones are spooled to disk.
    pub buffer_bytes_max: u64,
    /// The largest request body.
    pub request_bytes_max: u64,
    /// The largest answer that is kept; larger ones are passed on whole.
    pub response_bytes_max: u64,
}

/// Whether requests carry keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three")]
pub enum KeyUse {
    /// A request without a key is refused.
    Required,
    /// A request without a key passes unprotected.
    Optional,
    /// Keys mean nothing here.
    Ignored,
}

/// What a duplicate of a request in flight gets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the contract names these two")]
pub enum InFlight {
    /// 409 at once.
    Reject,
    /// It is held until the first ends, up to `wait_timeout`.
    Wait,
}

/// What an outcome of 5xx means.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three")]
pub enum OnServerError {
    /// The key is free; the retry executes.
    Release,
    /// It is the outcome, and is replayed.
    Keep,
    /// It may have run.
    Unknown,
}

/// What a retry gets whose record is unknown.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three")]
pub enum OnUnknown {
    /// 409 `outcome-unknown`, until somebody settles it.
    Refuse,
    /// It executes again, under a higher fence.
    Reexecute,
    /// The upstream is asked what became of it.
    Reconcile(Reconcile),
}

/// How to ask the upstream what became of an operation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Reconcile {
    /// The path to GET; `{key}` stands for the percent-encoded key.
    pub get: String,
    /// The status to replay a found outcome with.
    pub status: StatusCode,
}

/// What happens if the store cannot be reached at the claim.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the contract names these two")]
pub enum StoreDown {
    /// 503; nothing runs.
    Refuse,
    /// It runs without a claim: every promise is given up for that request.
    Execute,
}

impl Policy {
    /// How long an outcome is kept, and remembered after that.
    #[must_use]
    pub const fn completed(&self) -> Retention {
        Retention {
            live: self.retention,
            tombstone: self.tombstones,
        }
    }

    /// How long an unknown outcome is kept, and remembered after that.
    #[must_use]
    pub const fn unknown(&self) -> Retention {
        Retention {
            live: self.unknown_retention,
            tombstone: self.tombstones,
        }
    }

    /// Whether `method` takes keys here.
    #[must_use]
    pub fn covers(&self, method: &Method) -> bool {
        self.methods
            .iter()
            .any(|known| known.as_str().eq_ignore_ascii_case(method.as_str()))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            methods: vec![Method::POST, Method::PATCH],
            key: KeyUse::Optional,
            key_rules: KeyRules::default(),
            key_header: vec![HeaderName::from_static("idempotency-key")],
            scope: ScopeRules::default(),
            fingerprint: FingerprintRules::default(),
            first_sent: false,
            retention: DAY,
            tombstones: DAY * 7,
            unknown_retention: DAY * 30,
            lease: Duration::from_secs(30),
            in_flight: InFlight::Reject,
            wait_timeout: Duration::from_secs(10),
            on_server_error: OnServerError::Release,
            transient_statuses: Vec::new(),
            unknown_statuses: vec![StatusCode::GATEWAY_TIMEOUT],
            mismatch_status: StatusCode::UNPROCESSABLE_ENTITY,
            dialect: Dialect::Problem,
            on_unknown: OnUnknown::Refuse,
            store_down: StoreDown::Refuse,
            store_timeout: Duration::from_millis(500),
            complete_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            upstream_timeout: Duration::from_secs(600),
            keyed_idle_max: Duration::from_secs(1),
            buffer_bytes_max: MEBIBYTE,
            request_bytes_max: 100 * MEBIBYTE,
            response_bytes_max: 8 * MEBIBYTE,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MEBIBYTE: u64 = 1024 * 1024;
