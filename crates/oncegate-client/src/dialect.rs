//! Whose pattern the server follows: under which header it takes keys, and how it spells them.
//!
//! What its answers mean is `classify`'s.

use http::{HeaderName, HeaderValue};
use oncegate::key::IdempotencyKey;

use crate::operation::quote;

/// Whose pattern.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// Oncegate's, and what most APIs do: bare keys.
    #[default]
    Oncegate,
    /// The IETF draft to the letter: keys are structured-field Strings, in quotes.
    Ietf,
    /// Stripe's.
    Stripe,
    /// Adyen's.
    Adyen,
    /// PayPal's: the key is `PayPal-Request-Id`.
    PayPal,
}

impl Dialect {
    /// The header that carries the key.
    #[must_use]
    pub const fn key_header(self) -> HeaderName {
        match self {
            Self::Oncegate | Self::Ietf | Self::Stripe | Self::Adyen => IDEMPOTENCY_KEY,
            Self::PayPal => PAYPAL_REQUEST_ID,
        }
    }

    /// The key as it is sent. A key that cannot go bare is quoted in every dialect.
    pub(crate) fn spell(self, key: &IdempotencyKey) -> HeaderValue {
        let key = key.as_str();
        let bare = key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
        let text = match self {
            Self::Oncegate | Self::Stripe | Self::Adyen | Self::PayPal if bare => key.to_owned(),
            Self::Oncegate | Self::Ietf | Self::Stripe | Self::Adyen | Self::PayPal => quote(key),
        };
        HeaderValue::try_from(text).expect("a key is visible ASCII and spaces")
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PAYPAL_REQUEST_ID: HeaderName = HeaderName::from_static("paypal-request-id");
