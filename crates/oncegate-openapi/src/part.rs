//! A piece of a description apart from how it is written: what is to be added, or what was read.
//!
//! Members keep their order, whatever features `serde_json` is built with: people read them.

use crate::fault::Fault;
use crate::read::read;

/// A value, its members in order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "what JSON has")]
pub enum Part {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A number as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Members(Vec<(String, Self)>),
}

impl Part {
    /// Reads JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_json(text: &str) -> Result<Self, Fault> {
        let tree = read(text)?;
        Ok(tree.part(tree.root))
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An object of these.
    #[must_use]
    pub fn members<const N: usize>(members: [(&str, Self); N]) -> Self {
        let members = members.into_iter();
        Self::Members(
            members
                .map(|(name, part)| (name.to_owned(), part))
                .collect(),
        )
    }

    /// A list of texts.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// A member of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Members(members) = self else {
            return None;
        };
        let mut members = members.iter();
        members.find_map(|(known, part)| (known == name).then_some(part))
    }

    /// The text that it is.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Flag(_) | Self::Number(_) | Self::List(_) | Self::Members(_) => None,
        }
    }

    /// An object that refers to a shared part.
    pub(crate) fn reference(section: &str, name: &str) -> Self {
        Self::members([("$ref", Self::text(format!("#/components/{section}/{name}")))])
    }

    /// The member of that name, an object or a list, made if it is not there.
    pub(crate) fn entry(&mut self, name: &str, empty: Self) -> &mut Self {
        if !matches!(self, Self::Members(_)) {
            *self = Self::Members(Vec::new());
        }
        let Self::Members(members) = self else {
            unreachable!("it was just made one");
        };
        let at = members.iter().position(|(known, _)| known == name);
        let at = at.unwrap_or_else(|| {
            members.push((name.to_owned(), empty));
            members.len() - 1
        });
        &mut members[at].1
    }

    /// The object at the end of that path, made where it is not there.
    pub(crate) fn object_at<'a>(&mut self, path: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let mut part = self;
        for name in path {
            part = part.entry(name, Self::Members(Vec::new()));
        }
        part
    }

    /// Sets a member that is not there yet.
    pub(crate) fn set(&mut self, name: &str, value: Self) {
        self.entry(name, value);
    }

    /// Appends to the list of that name.
    pub(crate) fn push(&mut self, name: &str, item: Self) {
        if let Self::List(items) = self.entry(name, Self::List(Vec::new())) {
            items.push(item);
        }
    }
}
