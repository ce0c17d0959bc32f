//! Profiles: sets of defaults under one name. `docs/profiles.md` holds each beside what its vendor documents.
//!
//! Promises: a profile changes the built-in policy and nothing else, so that whatever it sets can be set
//! otherwise in `[defaults]` and in a route.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};
use oncegate::key::KeySyntax;
use oncegate::policy::OnServerError;
use oncegate::scope::ScopeSource;
use oncegate::{Dialect, Policy};

use super::read::choice;
use super::refusal::Refusal;
use super::value::Value;

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// What `docs/configuration.md` lists.
    #[default]
    Oncegate,
    /// The same, and keys in the syntax of the IETF draft and in no other.
    Ietf,
    /// As Stripe documents its API v1.
    Stripe,
    /// As Adyen documents its APIs.
    Adyen,
    /// As PayPal documents its REST APIs.
    PayPal,
}

impl Profile {
    pub(super) fn read(value: &Value) -> Result<Self, Refusal> {
        choice(value, &PROFILES)
    }

    /// Changes what it changes.
    pub(super) fn apply(self, policy: &mut Policy) {
        match self {
            Self::Oncegate => {}
            Self::Ietf => policy.key_rules.syntax = KeySyntax::Strict,
            Self::Stripe => stripe(policy),
            Self::Adyen => adyen(policy),
            Self::PayPal => paypal(policy),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oncegate => "oncegate",
            Self::Ietf => "ietf",
            Self::Stripe => "stripe",
            Self::Adyen => "adyen",
            Self::PayPal => "paypal",
        })
    }
}

fn stripe(policy: &mut Policy) {
    policy.dialect = Dialect::Stripe;
    policy.methods = vec![Method::POST];
    policy.key_rules.length_max = 255;
    // A platform acts for many accounts with one secret key: a key belongs to the account.
    policy.scope.sources = vec![
        ScopeSource::Header(header::AUTHORIZATION),
        ScopeSource::Header(HeaderName::from_static("stripe-account")),
        ScopeSource::Header(HeaderName::from_static("stripe-context")),
    ];
    policy.retention = DAY;
    policy.tombstones = Duration::ZERO;
    policy.on_server_error = OnServerError::Keep;
    // A conflict with another request is no outcome, and Stripe's clients send it again with the same key.
    policy.transient_statuses = vec![StatusCode::CONFLICT];
    policy.mismatch_status = StatusCode::BAD_REQUEST;
}

fn adyen(policy: &mut Policy) {
    policy.dialect = Dialect::Adyen;
    policy.methods = vec![Method::POST];
    policy.key_rules.length_max = 64;
    policy.scope.sources = vec![
        ScopeSource::Header(HeaderName::from_static("x-api-key")),
        ScopeSource::Header(header::AUTHORIZATION),
    ];
    policy.retention = DAY * 7;
    // What had no effect says so by `transient-error: true`; any other error is the outcome.
    policy.on_server_error = OnServerError::Keep;
}

fn paypal(policy: &mut Policy) {
    policy.dialect = Dialect::PayPal;
    policy.methods = vec![Method::POST];
    policy.key_header = vec![HeaderName::from_static("paypal-request-id")];
    policy.key_rules.length_max = 108;
    // The longest that any of its APIs documents: a shorter one would execute again what PayPal would not.
    policy.retention = DAY * 45;
    // What may have run is remembered for as long as what did.
    policy.unknown_retention = DAY * 45;
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PROFILES: [(&str, Profile); 5] = [
    ("oncegate", Profile::Oncegate),
    ("ietf", Profile::Ietf),
    ("stripe", Profile::Stripe),
    ("adyen", Profile::Adyen),
    ("paypal", Profile::PayPal),
];
