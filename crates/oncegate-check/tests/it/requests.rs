//! The broken origins of the cases of keys, mismatches, scopes, outcomes and documents.

use crate::origin::Defect;

/// The broken origin of each case, and a part of what the finding has to say.
pub(crate) const BROKEN: &[(&str, Defect, &str)] = &[
    ("empty-key-runs-once", Defect::EmptyIsNone, "2 executions"),
    ("long-key-runs-once", Defect::LongIsNone, "2 executions"),
    ("long-keys-apart", Defect::CutsKeys, "answer of the other"),
    (
        "permitted-keys-apart",
        Defect::CutsPermittedKeys,
        "answer of the other",
    ),
    (
        "unbalanced-key-runs-once",
        Defect::MalformedIsNone,
        "2 executions",
    ),
    (
        "control-key-runs-once",
        Defect::MalformedIsNone,
        "2 executions",
    ),
    (
        "non-ascii-key-runs-once",
        Defect::MalformedIsNone,
        "2 executions",
    ),
    (
        "key-list-runs-once",
        Defect::MalformedIsNone,
        "2 executions",
    ),
    (
        "two-key-lines-run-once",
        Defect::TwoLinesAreNone,
        "2 executions",
    ),
    ("quoted-key-is-bare-key", Defect::QuotesAreKey, "ran again"),
    (
        "parameters-are-not-key",
        Defect::ParametersAreKey,
        "ran again",
    ),
    (
        "keys-are-case-sensitive",
        Defect::FoldsCase,
        "answer of the other",
    ),
    (
        "trailer-is-no-key",
        Defect::TrailerIsKey,
        "answer of the other",
    ),
    (
        "missing-key-answer",
        Defect::ForgivesMissing,
        "without key: answered 201, where 400",
    ),
    (
        "malformed-key-answer",
        Defect::AnythingIsKey,
        "open quote: answered 201, where 400",
    ),
    (
        "empty-key-answer",
        Defect::EmptyIsNone,
        "empty: answered 201, where 400",
    ),
    (
        "long-key-answer",
        Defect::CutsKeys,
        "too long: answered 201, where 400",
    ),
    ("longest-key", Defect::ShortKeys, "longest: answered 400"),
    ("key-echoed", Defect::NoEcho, "no Idempotency-Key"),
    (
        "large-body-end",
        Defect::ComparesHeads,
        "answer of the other",
    ),
    ("other-query", Defect::IgnoresQuery, "answer of the other"),
    ("other-path", Defect::IgnoresPath, "answer of the other"),
    ("other-method", Defect::IgnoresMethod, "answer of the other"),
    ("other-spelling", Defect::ScopesByPath, "ran again"),
    (
        "mismatch-leaves-record",
        Defect::MismatchForgets,
        "ran again",
    ),
    (
        "reordered-json-runs-once",
        Defect::RunsOtherBytes,
        "ran again",
    ),
    (
        "reordered-json-answer",
        Defect::ComparesBytes,
        "reordered: answered 422",
    ),
    (
        "mismatch-problem",
        Defect::NoProblems,
        "422 with content type \"application/json\"",
    ),
    (
        "mismatch-advice",
        Defect::NoAdvice,
        "`next` is \"same-key\", not \"new-key\"",
    ),
    (
        "another-principal-answer",
        Defect::OneScope,
        "answer of the other",
    ),
    (
        "no-credential-answer",
        Defect::RecordFirst,
        "answer of the other",
    ),
    (
        "another-principal-runs",
        Defect::ForeignKeys,
        "same key: answered 422",
    ),
    (
        "server-error-answer",
        Defect::MixesUp,
        "answer of the other",
    ),
    (
        "unauthorized-not-kept",
        Defect::KeepsUnauthorized,
        "with: answered 401",
    ),
    (
        "server-error-not-stuck",
        Defect::Stuck,
        "retry: answered 409, though nothing is in flight",
    ),
    (
        "server-error-fate",
        Defect::KeepsServerErrors,
        "the 503 was kept",
    ),
    (
        "client-error-fate",
        Defect::ReleasesRefusals,
        "free after the 402",
    ),
    (
        "rate-limit-fate",
        Defect::KeepsRateLimits,
        "the 429 was kept",
    ),
    ("status-header", Defect::NoStatus, "no Idempotency-Status"),
    (
        "documented-optional",
        Defect::DocumentsLie,
        "without key: answered 400",
    ),
    (
        "documented-length",
        Defect::DocumentsLie,
        "longest: answered 400",
    ),
    (
        "documented-mismatch",
        Defect::DocumentsLie,
        "answered 422, where 400 is documented",
    ),
    (
        "documented-in-flight",
        Defect::DocumentsLie,
        "answered 409, where 425 is documented",
    ),
    (
        "documented-server-error",
        Defect::DocumentsLie,
        "free after the 503, where the API's document keeps it",
    ),
    ("discovery-document", Defect::NoVersion, "its version is 0"),
    (
        "discovery-document",
        Defect::DocumentsLie,
        "says that answers are kept for 172800 s, and the answer says 86400 s",
    ),
    (
        "discovery-document",
        Defect::DocumentsAnotherHeader,
        "a retry with the key in it ran again",
    ),
];
