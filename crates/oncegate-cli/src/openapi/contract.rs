//! What a policy means to callers, in the words of a description: from `oncegate::contract` to `oncegate_openapi`.

use std::time::Duration;

use http::{HeaderName, Method, header};
use oncegate::Dialect;
use oncegate::contract::{Contract, IDEMPOTENCY_STATUS, IDEMPOTENT_REPLAYED, show_range};
use oncegate::key::{KeyFormat, KeySyntax};
use oncegate::policy::{InFlight, KeyUse, Policy};
use oncegate_openapi::{Header, Key, Part, Refusal};

use crate::config::Config;

/// What is said of an operation with this method under this policy; nothing, if it takes no keys.
pub(super) fn contract(
    config: &Config,
    policy: &Policy,
    method: &Method,
) -> Option<oncegate_openapi::Contract> {
    let served = config.served();
    let contract = Contract::new(policy, &served);
    if !contract.takes_keys(method) {
        return None;
    }
    let mut said = oncegate_openapi::Contract::of(key(config, &contract));
    said.answer_headers = [IDEMPOTENCY_STATUS, IDEMPOTENT_REPLAYED]
        .iter()
        .chain(policy.key_header.first())
        .map(|name| described(name, policy))
        .collect();
    said.refusals = refusals(&contract);
    Some(said)
}

fn key(config: &Config, contract: &Contract<'_>) -> Key {
    let policy = contract.policy();
    let mut names = policy.key_header.iter().map(in_title_case);
    let mut key = Key::named(&names.next().unwrap_or_default());
    key.names.extend(names);
    key.required = policy.key == KeyUse::Required;
    key.description = prose(contract);
    key.schema = schema_of_keys(policy);
    key.example = contract.example_key();
    let settings = config.shown(policy, &SETTINGS).into_iter();
    let part = |(name, value): (&str, String)| Some((name.to_owned(), Part::of_json(&value).ok()?));
    key.settings = settings.filter_map(part).collect();
    key
}

/// For the API's users: what a key does here.
fn prose(contract: &Contract<'_>) -> String {
    let policy = contract.policy();
    let outcomes = contract.outcomes();
    let mut lines = vec![
        "Names one operation. Make a new key for each operation, a UUID for instance, and send the same key with every attempt at it.".to_owned(),
        String::new(),
        format!(
            "- **Retries**: the operation is executed once. Its answer is kept for {}, and replayed to every retry, marked by `Idempotent-Replayed: true`.",
            spelled(policy.retention)
        ),
    ];
    if !policy.tombstones.is_zero() {
        lines.push(format!(
            "- **Late retries**: for another {} a retry is refused, not executed again.",
            spelled(policy.tombstones)
        ));
    }
    lines.push(format!(
        "- **Mismatch**: the same key with another request is refused with {}.",
        policy.mismatch_status.as_u16()
    ));
    lines.push(match policy.in_flight {
        InFlight::Reject => {
            "- **In flight**: while the first request is being executed, others with its key are refused with 409."
                .to_owned()
        }
        InFlight::Wait => format!(
            "- **In flight**: while the first request is being executed, others with its key wait for up to {}, and are refused with 409 then.",
            spelled(policy.wait_timeout)
        ),
    });
    lines.push(format!("- **Format**: {}.", form(policy)));
    for (what, ranges) in [
        ("these answers are kept", &outcomes.kept),
        (
            "after these the key is free, and a retry is executed",
            &outcomes.released,
        ),
        (
            "after these nobody knows whether it was executed, and retries are refused until that is settled",
            &outcomes.unknown,
        ),
    ] {
        if !ranges.is_empty() {
            let ranges: Vec<String> = ranges.iter().map(show_range).collect();
            lines.push(format!("- **Outcomes**: {what}: {}.", ranges.join(", ")));
        }
    }
    lines.join("\n")
}

fn form(policy: &Policy) -> String {
    let rules = &policy.key_rules;
    let (format, _) = format(rules.format);
    let syntax = match rules.syntax {
        KeySyntax::Lenient => "in double quotes or bare",
        KeySyntax::Strict => "in double quotes (a String of RFC 9651)",
    };
    format!("{format}, of at most {} bytes, {syntax}", rules.length_max)
}

/// What is permitted here is accepted; what is not may be, if it is spelt in an unusual way.
fn schema_of_keys(policy: &Policy) -> Part {
    let rules = &policy.key_rules;
    let (_, inner) = format(rules.format);
    let quoted = format!("\"{}\"", inner.unwrap_or(r#"([ !#-\[\]-~]|\\["\\])+"#));
    let (pattern, quotes) = match rules.syntax {
        KeySyntax::Strict => (quoted, 2),
        KeySyntax::Lenient => {
            let bare = inner.unwrap_or(r"[!#-+\--:<-\[\]-~]+");
            (
                format!("({bare}|{quoted})"),
                if inner.is_some() { 2 } else { 0 },
            )
        }
    };
    let mut schema = Part::members([("type", Part::text("string"))]);
    let Part::Members(members) = &mut schema else {
        return schema;
    };
    members.push(("pattern".to_owned(), Part::text(format!("^{pattern}$"))));
    let most = rules.length_max + quotes;
    members.push(("maxLength".to_owned(), Part::Number(most.to_string())));
    schema
}

/// A format in words, and its pattern.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the engine's enum may grow: a format of which nothing is known here permits any text"
)]
const fn format(format: KeyFormat) -> (&'static str, Option<&'static str>) {
    match format {
        KeyFormat::Uuid => ("a UUID", Some(UUID)),
        KeyFormat::Uuid4 => ("a UUID of version 4", Some(UUID4)),
        KeyFormat::Uuid7 => ("a UUID of version 7", Some(UUID7)),
        KeyFormat::Ulid => ("a ULID", Some(ULID)),
        _ => ("any text of visible ASCII characters", None),
    }
}

fn refusals(contract: &Contract<'_>) -> Vec<Refusal> {
    let policy = contract.policy();
    let dialect = policy.dialect;
    let (schema_name, schema) = schema_of_documents(dialect);
    let schema = Part::of_json(schema).unwrap_or(Part::Null);
    let new = |status, slug: &str, document: &[u8]| {
        let schema = (schema_name, schema.clone());
        let mut refusal = Refusal::new(status, slug, dialect.content_type(), schema);
        let document = String::from_utf8_lossy(document);
        refusal.example = Part::of_json(&document).unwrap_or(Part::Null);
        refusal
    };
    let table = contract.refusals();
    let mut refusals = Vec::new();
    for row in &table {
        let kind = row.kind.row();
        let status = row.status.as_u16();
        let several = table.iter().filter(|other| other.kind == row.kind).count() > 1;
        let slug = if several {
            format!("{}-{status}", kind.slug)
        } else {
            kind.slug.to_owned()
        };
        let mut refusal = new(status, &slug, row.example.body());
        refusal.title = kind.title.to_owned();
        let headers = row.example.headers().keys();
        let headers = headers.filter(|name| *name != header::CONTENT_TYPE);
        refusal.headers = headers.map(|name| described(name, policy)).collect();
        refusals.push(refusal);
    }
    for answer in contract.unanswered() {
        let status = answer.status().as_u16();
        let mut refusal = new(status, &format!("unanswered-{status}"), answer.body());
        refusal.title =
            "A request without a key got no answer from the server behind this one".to_owned();
        refusals.push(refusal);
    }
    refusals
}

/// A header of an answer, as people write its name.
fn described(name: &HeaderName, policy: &Policy) -> Header {
    let shown = in_title_case(name);
    let known = HEADERS.iter().find(|known| known.0 == *name);
    if let Some((_, description, example)) = known {
        let mut header = Header::named(&shown, description, example);
        if *name == header::RETRY_AFTER {
            header.schema = Part::members([("type", Part::text("integer"))]);
            header.example = Part::Number((*example).to_owned());
        }
        return header;
    }
    if policy.key_header.contains(name) {
        return Header::named(
            &shown,
            "The key, as it was sent.",
            "9f2c6d1e-7b54-4c7a-9a0e-3d1f8b6c5e42",
        );
    }
    Header::named(
        &shown,
        "Whether to send the request again, as the vendor's clients read it.",
        "true",
    )
}

/// `WWW-Authenticate`, `Retry-After`: names are of any case, and this is how people write them.
fn in_title_case(name: &HeaderName) -> String {
    let words = name
        .as_str()
        .split('-')
        .map(|word| match (word, word.get(..1)) {
            ("www", _) => "WWW".to_owned(),
            ("paypal", _) => "PayPal".to_owned(),
            (_, Some(first)) => first.to_ascii_uppercase() + &word[1..],
            (_, None) => String::new(),
        });
    words.collect::<Vec<_>>().join("-")
}

/// In the largest unit that is whole.
fn spelled(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    // Everybody says 24 hours.
    let whole = units.into_iter().find(|(_, length)| {
        seconds >= *length
            && seconds.is_multiple_of(*length)
            && (seconds, *length) != (86_400, 86_400)
    });
    let (unit, length) = match whole {
        Some(whole) => whole,
        None if duration.subsec_millis() > 0 => return format!("{} ms", duration.as_millis()),
        None => ("second", 1),
    };
    let count = seconds / length;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the engine's enum may grow, and problem details are what it speaks by default"
)]
const fn schema_of_documents(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Stripe => ("stripe-error", include_str!("schemas/stripe.json")),
        Dialect::Adyen => ("adyen-error", include_str!("schemas/adyen.json")),
        Dialect::PayPal => ("paypal-error", include_str!("schemas/paypal.json")),
        _ => ("problem", include_str!("schemas/problem.json")),
    }
}

/// What of a policy a caller can see, and `discover` reads back.
const SETTINGS: [&str; 12] = [
    "key_syntax",
    "key_format",
    "key_header",
    "key_length_max",
    "first_sent",
    "retention",
    "tombstones",
    "in_flight",
    "wait_timeout",
    "on_server_error",
    "unknown_statuses",
    "mismatch_status",
];
static HEADERS: [(HeaderName, &str, &str); 7] = [
    (
        IDEMPOTENCY_STATUS,
        "What became of this request: `executed` (it ran, and its outcome is recorded), `released` (it ran, and the key is free), `unrecorded` (it ran, and its outcome could not be recorded), `replayed` (an earlier execution's answer), `refused` (this request ran nothing), `unknown` (it may have run), `bypassed` (it ran unprotected), `ignored`. Parameters: `fence`, `age` and `ttl` in seconds, `kept`.",
        "executed;fence=\"1795000000000000\"",
    ),
    (
        IDEMPOTENT_REPLAYED,
        "There, and `true`, if this is the answer of an earlier execution.",
        "true",
    ),
    (
        header::RETRY_AFTER,
        "After how many seconds it is worth to send the request again, with the same key.",
        "1",
    ),
    (
        header::LINK,
        "The page that explains the refusal.",
        "</.well-known/idempotency/problems/in-flight>; rel=\"describedby\"",
    ),
    (
        header::WWW_AUTHENTICATE,
        "That a credential is needed.",
        "Bearer realm=\"idempotency\"",
    ),
    (
        header::CACHE_CONTROL,
        "Refusals are not cached.",
        "no-store",
    ),
    (
        header::LOCATION,
        "Where the result can be found, if the first answer said so.",
        "/where/it/can/be/found",
    ),
];
const UUID: &str = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}";
const UUID4: &str =
    "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}";
const UUID7: &str =
    "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}";
const ULID: &str = "[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}";
