//! The statements: their texts in one schema, and the types of what they are given.
//!
//! Types are named here, so that nothing has to be asked about them: a statement that is not prepared takes one round
//! trip, too.

use oncegate::fingerprint::FINGERPRINT_BYTES;
use tokio_postgres::types::Type;

/// Which statement: one for each method of the seam, and one for the salt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Claims keys.
    Insert,
    /// Changes records.
    Update,
    /// Looks at records.
    Get,
    /// One step of a purge.
    Purge,
    /// One page of a listing.
    List,
    /// Keeps the salt.
    Salt,
}

/// A statement in one schema.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) types: &'static [Type],
}

/// All statements in one schema.
#[derive(Debug)]
pub(super) struct Statements {
    insert: Statement,
    update: Statement,
    get: Statement,
    purge: Statement,
    list: Statement,
    salt: Statement,
}

impl Statements {
    /// `schema` needs no quoting: an address takes no other.
    pub(super) fn of(schema: &str) -> Self {
        let statement = |text: &str, types| Statement {
            text: in_schema(text, schema),
            types,
        };
        Self {
            insert: statement(include_str!("statements/insert.sql"), INSERT),
            update: statement(include_str!("statements/update.sql"), UPDATE),
            get: statement(include_str!("statements/get.sql"), GET),
            purge: statement(include_str!("statements/purge.sql"), PURGE),
            list: statement(include_str!("statements/list.sql"), LIST),
            salt: statement(include_str!("statements/salt.sql"), SALT),
        }
    }

    pub(super) const fn text(&self, kind: Kind) -> &Statement {
        match kind {
            Kind::Insert => &self.insert,
            Kind::Update => &self.update,
            Kind::Get => &self.get,
            Kind::Purge => &self.purge,
            Kind::List => &self.list,
            Kind::Salt => &self.salt,
        }
    }
}

/// A text of ours with everything filled in that no parameter can be, and without its comments: they are for us.
pub(super) fn in_schema(text: &str, schema: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let text = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("{schema}", schema)
        .replace("{columns}", COLUMNS)
        .replace("{fingerprint_bytes}", &FINGERPRINT_BYTES.to_string());
    // A response that is too large for this answer is not told, but its length is: it is then asked for alone.
    let mut filled = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once("{response:") {
        let (limit, behind) = behind.split_once('}').unwrap_or((behind, ""));
        filled.push_str(before);
        filled.push_str(
            "octet_length(r.response) AS response_bytes, CASE WHEN octet_length(r.response) <= ",
        );
        filled.push_str(limit);
        filled.push_str(" THEN r.response END AS response");
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// What `rows` reads, in its order.
const COLUMNS: &str = "r.id, r.owner, r.fence, r.revision, r.state, r.state_at, r.created_at, r.expires_at, \
                       r.purge_at, r.fingerprint, r.key_digest, r.operation";

const INSERT: &[Type] = &[
    Type::INTERVAL,
    Type::BYTEA,
    Type::INT4,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::TEXT_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
];
const UPDATE: &[Type] = &[
    Type::INTERVAL,
    Type::INT4,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT8_ARRAY,
    Type::BOOL_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::BYTEA_ARRAY,
];
const GET: &[Type] = &[Type::INTERVAL, Type::INT4, Type::BYTEA_ARRAY];
const PURGE: &[Type] = &[Type::INTERVAL, Type::TEXT, Type::TEXT, Type::INT8];
const LIST: &[Type] = &[Type::INTERVAL, Type::BYTEA, Type::INT8];
const SALT: &[Type] = &[Type::BYTEA];
