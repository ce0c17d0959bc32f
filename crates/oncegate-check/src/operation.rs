//! What is tested: an operation of an API, and all that its owner tells us about it.

use std::collections::BTreeMap;

use crate::case::{Documented, Need, Variant};
use crate::dialect::Dialect;
use crate::policy::{KeyPolicy, Policy};
use crate::wire::Peer;

/// An operation of an API.
#[derive(Clone, Debug)]
pub struct Operation {
    /// How a report calls it.
    pub name: String,
    /// Where it is.
    pub peer: Peer,
    /// The request, and other forms of it.
    pub forms: BTreeMap<Variant, Form>,
    /// Header lines of a second principal; each takes the place of those of its name.
    pub second: Option<Vec<(String, Vec<u8>)>>,
    /// Another body that is as valid; without it, one is made from the first.
    pub other_body: Option<Vec<u8>>,
    /// What is counted to see effects.
    pub probe: Option<Probe>,
    /// Whether a key is required, if its owner says so. Else it is what is documented.
    pub key_required: Option<bool>,
    /// What the API documents about its keys. A run adds what its discovery document says.
    pub documented: Option<Policy>,
    /// What restarts the server: a program and its arguments.
    pub chaos: Option<Vec<String>>,
}

/// A request, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The method.
    pub method: String,
    /// Path and query. May hold placeholders, as the body may.
    pub target: String,
    /// Header lines, without `Host`.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body. `{{uuid}}` and `{{n}}` stand for something new in each logical operation.
    pub body: Vec<u8>,
}

/// A request whose answer counts effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Path and query of a `GET`.
    pub target: String,
    /// Where the count is in the answer.
    pub count: Count,
}

/// How effects are counted in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// The number of elements of the array at this JSON pointer.
    Length(String),
    /// The number at this JSON pointer.
    Number(String),
}

impl Operation {
    /// The plain form.
    ///
    /// # Panics
    /// Never: an operation without its plain form cannot be made.
    #[must_use]
    pub fn plain(&self) -> &Form {
        self.forms
            .get(&Variant::Plain)
            .expect("an operation is made with its plain form")
    }

    /// An operation of which nothing but its request is known.
    #[must_use]
    pub fn new(peer: Peer, plain: Form) -> Self {
        Self {
            name: format!("{} {}", plain.method, path_of(&plain.target)),
            peer,
            forms: BTreeMap::from([(Variant::Plain, plain)]),
            second: None,
            other_body: None,
            probe: None,
            key_required: None,
            documented: None,
            chaos: None,
        }
    }

    /// The header that carries the key: as documented, else as the dialect has it.
    #[must_use]
    pub fn key_header<'a>(&'a self, dialect: &Dialect) -> &'a str {
        let documented = self.documented.as_ref();
        let named = documented.and_then(|policy| policy.key_header.first());
        named.map_or(dialect.key_header, String::as_str)
    }

    /// Longest key in bytes: as documented, else as the dialect has it.
    #[must_use]
    pub fn key_length_max(&self, dialect: &Dialect) -> usize {
        let documented = self.documented.as_ref();
        let longest = documented.and_then(|policy| policy.key_length_max);
        longest.unwrap_or(dialect.key_length_max)
    }

    /// Whether a key is required, if anybody says.
    #[must_use]
    pub fn requires_key(&self) -> Option<bool> {
        let documented = self.documented.as_ref().and_then(|policy| policy.key);
        let required = documented.map(|key| key == KeyPolicy::Required);
        self.key_required.or(required)
    }

    fn documents(&self, what: Documented) -> bool {
        let documented = self.documented.as_ref();
        documented.is_some_and(|policy| policy.says(what))
    }

    /// What of a case's needs is not known, as an advice to whoever runs the check.
    #[must_use]
    pub fn lacks(&self, need: Need) -> Option<String> {
        let plain = self.plain();
        let (known, advice) = match need {
            Need::SecondPrincipal => (
                self.second.is_some(),
                "give the credentials of a second principal".to_owned(),
            ),
            Need::Credential => (
                plain
                    .fields
                    .iter()
                    .any(|(name, _)| self.is_credential(name)),
                "the operation is given without credentials".to_owned(),
            ),
            Need::Body => (
                self.other_body.is_some() || !plain.body.is_empty(),
                "the operation has no body".to_owned(),
            ),
            Need::JsonObject => (
                plain.is_json_object(),
                "the body is no JSON object".to_owned(),
            ),
            Need::Variant(variant) => (
                self.forms.contains_key(&variant),
                format!("give the operation's form {:?}", variant.name()),
            ),
            Need::Chaos => (
                self.chaos.is_some(),
                "give a command that restarts the server".to_owned(),
            ),
            Need::KeyRequired => (
                self.requires_key() == Some(true),
                match self.requires_key() {
                    None => "say that a key is required, if it is".to_owned(),
                    Some(_) => "the operation takes requests without a key".to_owned(),
                },
            ),
            Need::KeyOptional => (
                self.requires_key() != Some(true),
                "the operation requires a key".to_owned(),
            ),
            Need::Documented(what) => (self.documents(what), what.advice().to_owned()),
            // That is the dialect's to say.
            Need::Promise(_) => return None,
        };
        (!known).then_some(advice)
    }

    /// Whether a header line of that name says who the principal is: the usual ones, and what the second principal has.
    #[must_use]
    pub fn is_credential(&self, name: &str) -> bool {
        let second = self.second.iter().flatten().map(|(name, _)| name.as_str());
        CREDENTIALS
            .iter()
            .copied()
            .chain(second)
            .any(|credential| credential.eq_ignore_ascii_case(name))
    }
}

impl Documented {
    const fn advice(self) -> &'static str {
        match self {
            Self::KeyOptional => "no document says that requests without a key are taken",
            Self::KeyLength => "no document says how long a key may be",
            Self::Mismatch => "no document says how a mismatch is answered",
            Self::InFlight => "no document says how a duplicate in flight is answered",
            Self::ServerError => "no document says whether a server error is kept",
        }
    }
}

impl Need {
    /// What is needed, in a word or two.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::SecondPrincipal => "a second principal".to_owned(),
            Self::Body => "a body".to_owned(),
            Self::JsonObject => "a JSON object".to_owned(),
            Self::Variant(variant) => format!("the form {}", variant.name()),
            Self::Chaos => "a restart".to_owned(),
            Self::KeyRequired => "a required key".to_owned(),
            Self::KeyOptional => "an optional key".to_owned(),
            Self::Credential => "credentials".to_owned(),
            Self::Documented(_) => "a document about it".to_owned(),
            Self::Promise(promise) => format!("a dialect that promises {}", promise.subject()),
        }
    }
}

impl Form {
    fn is_json_object(&self) -> bool {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&self.body).is_ok()
    }
}

impl Variant {
    /// All, the plain one first.
    pub const ALL: [Self; 10] = [
        Self::Plain,
        Self::Slow,
        Self::ClientError,
        Self::ServerError,
        Self::RateLimited,
        Self::Cookie,
        Self::Binary,
        Self::Empty,
        Self::Chunked,
        Self::Large,
    ];

    /// Its name in configurations and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Slow => "slow",
            Self::ClientError => "client-error",
            Self::ServerError => "server-error",
            Self::RateLimited => "rate-limited",
            Self::Cookie => "cookie",
            Self::Binary => "binary",
            Self::Empty => "empty",
            Self::Chunked => "chunked",
            Self::Large => "large",
        }
    }
}

/// A target without its query.
pub(crate) fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Header lines by which APIs usually tell principals apart.
pub(crate) const CREDENTIALS: &[&str] = &["authorization", "cookie", "x-api-key", "api-key"];
