//! Which outcomes are kept: the table in section 4 of the contract, as a pure function.

use http::{HeaderValue, StatusCode};

use crate::policy::{OnServerError, Policy};

/// What becomes of the key once an answer is whole.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle each")]
pub enum Class {
    /// Definitive: it is stored and replayed.
    Keep,
    /// Nothing ran, or a retry is legitimate: the key is free.
    Release,
    /// It may have run.
    Unknown,
}

/// What an upstream says of its own answer, by `Idempotency-Outcome`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three")]
pub enum DeclaredOutcome {
    /// Keep it.
    Final,
    /// Release the key.
    Transient,
    /// It may have run.
    Unknown,
}

impl DeclaredOutcome {
    /// Reads the header's value; anything but the three words is no declaration.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        match value.as_bytes() {
            b"final" => Some(Self::Final),
            b"transient" => Some(Self::Transient),
            b"unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// Classifies a whole answer. `downstream_status` is the first token of an `Idempotency-Status` on it: then it
/// comes from another Oncegate, which knows better than a status code can say.
#[must_use]
pub fn classify(
    status: StatusCode,
    declared: Option<DeclaredOutcome>,
    downstream: Option<Downstream>,
    policy: &Policy,
) -> Class {
    match (declared, downstream) {
        (Some(DeclaredOutcome::Final), _) => Class::Keep,
        (Some(DeclaredOutcome::Transient), _) => Class::Release,
        (Some(DeclaredOutcome::Unknown), _) | (None, Some(Downstream::Unknown)) => Class::Unknown,
        (None, Some(Downstream::StillAtWork | Downstream::Refused | Downstream::Released)) => {
            Class::Release
        }
        (None, Some(Downstream::Outcome) | None) => by_status(status, policy),
    }
}

/// What another Oncegate behind us said of its answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle each")]
pub enum Downstream {
    /// A refusal because the first execution is still running (`in-flight`, `still-running`): not an outcome.
    StillAtWork,
    /// Any other refusal: it ran nothing, and would poison our key.
    Refused,
    /// An outcome that it did not keep: its key is free, and so is ours.
    Released,
    /// It does not know the outcome.
    Unknown,
    /// An outcome like any other.
    Outcome,
}

fn by_status(status: StatusCode, policy: &Policy) -> Class {
    if policy.unknown_statuses.contains(&status) {
        return Class::Unknown;
    }
    if policy.transient_statuses.contains(&status) || RELEASED.contains(&status.as_u16()) {
        return Class::Release;
    }
    if !status.is_server_error() {
        return Class::Keep;
    }
    match policy.on_server_error {
        OnServerError::Release => Class::Release,
        OnServerError::Keep => Class::Keep,
        OnServerError::Unknown => Class::Unknown,
    }
}

/// Redirects that ask for the same request elsewhere, refused credentials, and "not now".
const RELEASED: [u16; 10] = [307, 308, 401, 403, 407, 408, 421, 423, 425, 429];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, expected: Class) {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            classify(status, None, None, &Policy::default()),
            expected,
            "{status}"
        );
    }

    #[test]
    fn each_row_of_the_table_of_outcomes_holds() {
        for kept in [
            200, 201, 202, 204, 299, 300, 301, 302, 303, 400, 402, 404, 409, 410, 422, 451,
        ] {
            check(kept, Class::Keep);
        }
        for released in [
            307, 308, 401, 403, 407, 408, 421, 423, 425, 429, 500, 502, 503, 501, 599,
        ] {
            check(released, Class::Release);
        }
        check(504, Class::Unknown);
    }

    #[test]
    fn settings_move_server_errors_and_named_statuses() {
        let policy = Policy {
            on_server_error: OnServerError::Keep,
            transient_statuses: vec![StatusCode::CONFLICT],
            unknown_statuses: vec![StatusCode::BAD_GATEWAY],
            ..Policy::default()
        };
        let class = |status| classify(status, None, None, &policy);
        assert_eq!(class(StatusCode::INTERNAL_SERVER_ERROR), Class::Keep);
        assert_eq!(class(StatusCode::GATEWAY_TIMEOUT), Class::Keep);
        assert_eq!(class(StatusCode::CONFLICT), Class::Release);
        assert_eq!(class(StatusCode::BAD_GATEWAY), Class::Unknown);
    }

    #[test]
    fn the_upstreams_word_overrules_the_status() {
        let declare = |declared| {
            classify(
                StatusCode::OK,
                Some(declared),
                Some(Downstream::Unknown),
                &Policy::default(),
            )
        };
        assert_eq!(declare(DeclaredOutcome::Final), Class::Keep);
        assert_eq!(declare(DeclaredOutcome::Transient), Class::Release);
        assert_eq!(declare(DeclaredOutcome::Unknown), Class::Unknown);
        assert_eq!(
            DeclaredOutcome::parse(&HeaderValue::from_static("Final")),
            None
        );
    }

    #[test]
    fn another_oncegates_refusal_never_poisons_the_key() {
        let behind = |downstream| {
            classify(
                StatusCode::CONFLICT,
                None,
                Some(downstream),
                &Policy::default(),
            )
        };
        assert_eq!(behind(Downstream::StillAtWork), Class::Release);
        assert_eq!(behind(Downstream::Refused), Class::Release);
        assert_eq!(behind(Downstream::Released), Class::Release);
        assert_eq!(behind(Downstream::Unknown), Class::Unknown);
        assert_eq!(behind(Downstream::Outcome), Class::Keep);
    }
}
