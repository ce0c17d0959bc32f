//! What callers of an operation can meet, as plain data: what is written into its description.
//!
//! This crate knows no policy and no refusal. Whoever has them says here what follows from them.

use crate::part::Part;

/// What holds for the keys of one operation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Contract {
    /// The header that carries the key.
    pub key: Key,
    /// Headers of every answer that the author documents.
    pub answer_headers: Vec<Header>,
    /// Every refusal that there can be.
    pub refusals: Vec<Refusal>,
}

/// The header that carries the key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Key {
    /// Its names: the one to document, then aliases.
    pub names: Vec<String>,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What a key is, what it does and for how long, for the API's users.
    pub description: String,
    /// The JSON Schema of its values.
    pub schema: Part,
    /// A key.
    pub example: String,
    /// The settings behind it, for machines: name and value. They are read back by [`Documented`](crate::Documented).
    pub settings: Vec<(String, Part)>,
}

/// A header of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// Its name.
    pub name: String,
    /// What it says.
    pub description: String,
    /// The JSON Schema of its values.
    pub schema: Part,
    /// A value.
    pub example: Part,
}

/// An answer by which a request is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// What names it: letters, digits and `-`.
    pub slug: String,
    /// One line on what happened.
    pub title: String,
    /// What its document is written in.
    pub media_type: String,
    /// The name of the schema of its document.
    pub schema_name: String,
    /// The JSON Schema of its document.
    pub schema: Part,
    /// A document.
    pub example: Part,
    /// Headers that come with it.
    pub headers: Vec<Header>,
}

impl Contract {
    /// A contract without refusals and headers.
    #[must_use]
    pub const fn of(key: Key) -> Self {
        Self {
            key,
            answer_headers: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

impl Key {
    /// An optional key, any text, in this header.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            required: false,
            description: String::new(),
            schema: Part::members([("type", Part::text("string"))]),
            example: String::new(),
            settings: Vec::new(),
        }
    }
}

impl Header {
    /// A header whose values are texts.
    #[must_use]
    pub fn named(name: &str, description: &str, example: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            schema: Part::members([("type", Part::text("string"))]),
            example: Part::text(example),
        }
    }
}

impl Refusal {
    /// A refusal that is told by a document of this schema.
    #[must_use]
    pub fn new(status: u16, slug: &str, media_type: &str, schema: (&str, Part)) -> Self {
        Self {
            status,
            slug: slug.to_owned(),
            title: String::new(),
            media_type: media_type.to_owned(),
            schema_name: schema.0.to_owned(),
            schema: schema.1,
            example: Part::Null,
            headers: Vec::new(),
        }
    }
}
