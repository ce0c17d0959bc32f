//! The settings about requests: which take keys, whose keys they are, and how they are compared.

use oncegate::fingerprint::FingerprintMode;
use oncegate::key::{KeyFormat, KeySyntax};
use oncegate::policy::KeyUse;
use oncegate::scope::Anonymous;

use super::{integer, policy, set};
use crate::config::read;
use crate::config::setting::Setting;
use crate::config::value::{Shape, Value};

pub(super) static KEYS: [Setting; 12] = [
    policy(
        "methods",
        Shape::List,
        |d, v| set(&mut d.policy.methods, read::methods(v)),
        |p| Some(Value::strings(&p.methods)),
    )
    .takes(
        "a list of methods that are not safe",
        "[\"POST\", \"PATCH\"]",
    )
    .does("the methods that take keys; those in `match` come before it"),
    policy(
        "key",
        Shape::Word,
        |d, v| set(&mut d.policy.key, read::choice(v, &KEY_USES)),
        |p| Some(read::word_for(&p.key, &KEY_USES)),
    )
    .takes("`required`, `optional` or `ignored`", "\"required\"")
    .does("whether a request has to carry a key"),
    policy(
        "key_syntax",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.key_rules.syntax,
                read::choice(v, &KEY_SYNTAXES),
            )
        },
        |p| Some(read::word_for(&p.key_rules.syntax, &KEY_SYNTAXES)),
    )
    .takes(
        "`lenient` (quoted or bare) or `strict` (quoted)",
        "\"strict\"",
    )
    .does("which spellings of a key are accepted"),
    policy(
        "key_format",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.key_rules.format,
                read::choice(v, &KEY_FORMATS),
            )
        },
        |p| Some(read::word_for(&p.key_rules.format, &KEY_FORMATS)),
    )
    .takes("`any`, `uuid`, `uuid4`, `uuid7` or `ulid`", "\"uuid\"")
    .does("what a key has to look like"),
    policy(
        "key_header",
        Shape::List,
        |d, v| set(&mut d.policy.key_header, read::key_headers(v)),
        |p| Some(read::header_words(&p.key_header)),
    )
    .takes(
        "a list of header names",
        "[\"Idempotency-Key\", \"X-Request-Key\"]",
    )
    .does("the header that holds the key, then its aliases"),
    policy(
        "key_length_max",
        Shape::Word,
        |d, v| set(&mut d.policy.key_rules.length_max, read::count(v, 1..=1024)),
        |p| integer(p.key_rules.length_max),
    )
    .takes("an integer from 1 to 1024", "255")
    .does("the most bytes of a key, without its quotes"),
    policy(
        "first_sent",
        Shape::Word,
        |d, v| set(&mut d.policy.first_sent, read::boolean(v)),
        |p| Some(Value::Boolean(p.first_sent)),
    )
    .takes("`true` or `false`", "false")
    .does("whether a new key whose own time is older than what is remembered is refused"),
    policy(
        "scope",
        Shape::List,
        |d, v| set(&mut d.policy.scope.sources, read::scope_sources(v)),
        |p| Some(Value::strings(&p.scope.sources)),
    )
    .takes(
        "a list of `header:NAME`, `cookie:NAME` and `jwt:CLAIM`",
        "[\"header:authorization\"]",
    )
    .does("whom a key belongs to; all that are listed are joined"),
    policy(
        "anonymous",
        Shape::Word,
        |d, v| set(&mut d.policy.scope.anonymous, read::choice(v, &ANONYMOUS)),
        |p| Some(read::word_for(&p.scope.anonymous, &ANONYMOUS)),
    )
    .takes("`allow` or `refuse`", "\"refuse\"")
    .does("whether requests without any credential may use keys"),
    policy(
        "credential_headers",
        Shape::List,
        |d, v| set(&mut d.policy.scope.credential_headers, read::headers(v)),
        |p| Some(read::header_words(&p.scope.credential_headers)),
    )
    .takes("a list of header names", "[\"Authorization\", \"Cookie\"]")
    .does("headers that are a credential: one that `scope` does not cover is refused"),
    policy(
        "fingerprint",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.fingerprint.mode,
                read::choice(v, &FINGERPRINTS),
            )
        },
        |p| Some(read::word_for(&p.fingerprint.mode, &FINGERPRINTS)),
    )
    .takes("`auto`, `raw` or `none`", "\"raw\"")
    .does("how bodies are compared: by meaning or bytes, by bytes alone, not at all"),
    policy(
        "fingerprint_exclude",
        Shape::List,
        |d, v| set(&mut d.policy.fingerprint.exclude, read::pointers(v)),
        |p| Some(Value::strings(&p.fingerprint.exclude)),
    )
    .takes("a list of JSON pointers", "[\"/sent_at\"]")
    .does("places in a JSON body that may differ between retries"),
];

const KEY_USES: [(&str, KeyUse); 3] = [
    ("required", KeyUse::Required),
    ("optional", KeyUse::Optional),
    ("ignored", KeyUse::Ignored),
];
const KEY_SYNTAXES: [(&str, KeySyntax); 2] = [
    ("lenient", KeySyntax::Lenient),
    ("strict", KeySyntax::Strict),
];
const KEY_FORMATS: [(&str, KeyFormat); 5] = [
    ("any", KeyFormat::Any),
    ("uuid", KeyFormat::Uuid),
    ("uuid4", KeyFormat::Uuid4),
    ("uuid7", KeyFormat::Uuid7),
    ("ulid", KeyFormat::Ulid),
];
const ANONYMOUS: [(&str, Anonymous); 2] =
    [("allow", Anonymous::Allow), ("refuse", Anonymous::Refuse)];
const FINGERPRINTS: [(&str, FingerprintMode); 3] = [
    ("auto", FingerprintMode::Auto),
    ("raw", FingerprintMode::Raw),
    ("none", FingerprintMode::None),
];
