//! The same API in the words of others: not wrong, and not ours.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Defect;
use super::words::Refusal;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accent {
    /// The IETF draft's, and nothing beside it.
    Draft,
    /// Stripe's.
    Stripe,
    /// Adyen's.
    Adyen,
    /// PayPal's.
    PayPal,
    /// Ours, but for the header of the key.
    OtherHeader,
}

impl Accent {
    pub(super) const fn of(defect: Defect) -> Option<Self> {
        if let Defect::Speaks(accent) = defect {
            Some(accent)
        } else {
            None
        }
    }

    const fn key_header(self) -> &'static str {
        match self {
            Self::Draft | Self::Stripe | Self::Adyen => "idempotency-key",
            Self::PayPal => "paypal-request-id",
            Self::OtherHeader => "x-idempotency-key",
        }
    }

    /// What others say beside the answer itself is left out.
    pub(super) fn finish(self, headers: &mut HeaderMap) {
        if self != Self::OtherHeader {
            headers.remove("idempotency-status");
        }
        if !matches!(self, Self::Stripe | Self::OtherHeader) {
            headers.remove("idempotent-replayed");
        }
        if matches!(self, Self::Draft | Self::Stripe) {
            headers.remove(self.key_header());
        }
    }

    /// The status and the body of a refusal.
    pub(super) fn refusal(self, refusal: Refusal) -> (StatusCode, Value) {
        let status = refusal.status;
        let in_flight = status == StatusCode::CONFLICT;
        match self {
            Self::Draft | Self::OtherHeader => (
                status,
                json!({"type": "about:blank", "title": refusal.title, "status": status.as_u16()}),
            ),
            Self::Stripe if in_flight => (
                status,
                json!({"error": {"type": "invalid_request_error", "code": "idempotency_key_in_use"}}),
            ),
            Self::Stripe => (
                StatusCode::BAD_REQUEST,
                json!({"error": {"type": "idempotency_error"}}),
            ),
            Self::Adyen => (
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({"errorCode": "704", "message": refusal.title}),
            ),
            Self::PayPal => (
                status,
                json!({"name": "REFUSED", "details": [{"issue": refusal.title}]}),
            ),
        }
    }

    pub(super) const fn has_problems(self) -> bool {
        matches!(self, Self::Draft | Self::OtherHeader)
    }
}

/// The header that carries the key.
pub(super) const fn key_header(defect: Defect) -> &'static str {
    match Accent::of(defect) {
        Some(accent) => accent.key_header(),
        None => "idempotency-key",
    }
}
