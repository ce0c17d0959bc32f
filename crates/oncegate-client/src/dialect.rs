//! Whose pattern the server follows: under which header it takes keys, how it spells them, what it asks of them, and
//! for how long it knows them.
//!
//! What its answers mean is `classify`'s. What vendors ask for is what their pages said in November 2026.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use oncegate::key::{IdempotencyKey, KeyError, KeyFormat, KeyRules};

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
    /// Adyen's: keys are random UUIDs.
    Adyen,
    /// PayPal's: the key is `PayPal-Request-Id`.
    PayPal,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Oncegate,
        Self::Ietf,
        Self::Stripe,
        Self::Adyen,
        Self::PayPal,
    ];

    /// Its name, as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oncegate => "oncegate",
            Self::Ietf => "ietf",
            Self::Stripe => "stripe",
            Self::Adyen => "adyen",
            Self::PayPal => "paypal",
        }
    }

    /// The dialect of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// The header that carries the key.
    #[must_use]
    pub const fn key_header(self) -> HeaderName {
        match self {
            Self::Oncegate | Self::Ietf | Self::Stripe | Self::Adyen => IDEMPOTENCY_KEY,
            Self::PayPal => PAYPAL_REQUEST_ID,
        }
    }

    /// Whether a header is a key's in any dialect. A caller gives the key to the operation, and not as a header.
    #[must_use]
    pub fn is_key_header(name: &HeaderName) -> bool {
        *name == IDEMPOTENCY_KEY || *name == PAYPAL_REQUEST_ID
    }

    /// Whether the server would take this key.
    ///
    /// # Errors
    /// If it is longer than the vendor documents, or of another form.
    pub fn admit(self, key: &IdempotencyKey) -> Result<(), KeyError> {
        key.judge(&self.key_rules())
    }

    /// How long the server is sure to know a key, where nobody says more: what the vendor documents at the least.
    #[must_use]
    pub const fn retention(self) -> Duration {
        let hours = match self {
            Self::Oncegate | Self::Ietf | Self::Stripe => 24,
            Self::Adyen => 7 * 24,
            // It differs between PayPal's APIs: three hours for tokens, six for orders, 45 days for captures.
            Self::PayPal => 3,
        };
        Duration::from_secs(hours * 60 * 60)
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

    /// Whether the server proves by an echo of the key that it looked the key up: Adyen documents it, and Stripe's
    /// own libraries read it.
    pub(crate) const fn echoes_keys(self) -> bool {
        match self {
            Self::Stripe | Self::Adyen => true,
            Self::Oncegate | Self::Ietf | Self::PayPal => false,
        }
    }

    pub(crate) fn key_rules(self) -> KeyRules {
        let mut rules = KeyRules::default();
        match self {
            Self::Oncegate | Self::Ietf | Self::Stripe => {}
            Self::Adyen => {
                rules.length_max = 64;
                rules.format = KeyFormat::Uuid4;
            }
            Self::PayPal => rules.length_max = 108,
        }
        rules
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PAYPAL_REQUEST_ID: HeaderName = HeaderName::from_static("paypal-request-id");

#[cfg(test)]
mod tests {
    use oncegate::key::{IdempotencyKey, KeyRules};

    use super::Dialect::{self, Adyen, Ietf, Oncegate, PayPal, Stripe};
    use crate::operation::quote;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(quote(text).as_bytes(), &KeyRules::default()).expect("a key")
    }

    #[test]
    fn keys_are_judged_as_the_vendor_documents_it() {
        const V4: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        const V7: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
        let (short, long) = ("x".repeat(108), "x".repeat(109));
        let longest = "x".repeat(255);
        let rows: [(Dialect, &str, bool); 11] = [
            (Oncegate, V7, true),
            (Oncegate, &longest, true),
            (Ietf, &longest, true),
            (Stripe, &longest, true),
            (Adyen, V4, true),
            (Adyen, V7, false),
            (Adyen, "invoice-42", false),
            (PayPal, V7, true),
            (PayPal, "x", true),
            (PayPal, &short, true),
            (PayPal, &long, false),
        ];
        for (dialect, text, admitted) in rows {
            let judged = dialect.admit(&key(text));
            assert_eq!(judged.is_ok(), admitted, "{dialect:?} {text}: {judged:?}");
        }
    }

    #[test]
    fn keys_go_bare_where_they_can_and_quoted_where_they_must() {
        let rows = [
            (Oncegate, "invoice-42", "invoice-42"),
            (Oncegate, "invoice 42", "\"invoice 42\""),
            (Ietf, "invoice-42", "\"invoice-42\""),
            (Stripe, "a\"b", "\"a\\\"b\""),
            (PayPal, "invoice-42", "invoice-42"),
        ];
        for (dialect, text, spelled) in rows {
            assert_eq!(dialect.spell(&key(text)), spelled, "{dialect:?}");
        }
    }
}
