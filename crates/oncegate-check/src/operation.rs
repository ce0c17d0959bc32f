//! What is tested: an operation of an API, and all that its owner tells us about it.

use std::collections::BTreeMap;

use crate::case::{Need, Variant};
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
    /// Whether a key is required, if that is documented.
    pub key_required: Option<bool>,
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
        let path = plain.target.split('?').next().unwrap_or_default();
        Self {
            name: format!("{} {path}", plain.method),
            peer,
            forms: BTreeMap::from([(Variant::Plain, plain)]),
            second: None,
            other_body: None,
            probe: None,
            key_required: None,
            chaos: None,
        }
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
                self.key_required != Some(false),
                "the operation takes requests without a key".to_owned(),
            ),
            Need::KeyOptional => (
                self.key_required != Some(true),
                "the operation requires a key".to_owned(),
            ),
        };
        (!known).then_some(advice)
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
