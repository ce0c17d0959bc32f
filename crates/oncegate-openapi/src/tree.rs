//! A description as a tree whose nodes know the bytes that they stand on.
//!
//! A collection in block style ends where its last scalar ends, not where the next thing begins: comments and blank
//! lines between belong to nobody. Reading follows aliases; editing sees them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::part::Part;

/// The nodes of a text.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Id,
    /// Anchors by their numbers.
    pub(crate) anchors: HashMap<usize, Id>,
    /// Those that an alias refers to.
    pub(crate) aliased: HashSet<usize>,
}

/// Which node.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Id(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    /// The number of its anchor; 0 for none.
    pub(crate) anchor: usize,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Scalar { text: String, plain: bool },
    List { flow: bool, items: Vec<Id> },
    Members { flow: bool, members: Vec<Member> },
    Alias(usize),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) key: Range<usize>,
    pub(crate) value: Id,
}

impl Tree {
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0]
    }

    /// The node, or the one that it is an alias of.
    pub(crate) fn followed(&self, id: Id) -> Id {
        match self.node(id).content {
            Content::Alias(anchor) => self.anchors.get(&anchor).copied().unwrap_or(id),
            Content::Scalar { .. } | Content::List { .. } | Content::Members { .. } => id,
        }
    }

    /// The members of an object; none if it is another thing.
    pub(crate) fn members(&self, id: Id) -> &[Member] {
        match &self.node(self.followed(id)).content {
            Content::Members { members, .. } => members,
            Content::Scalar { .. } | Content::List { .. } | Content::Alias(_) => &[],
        }
    }

    /// The items of a list; none if it is another thing.
    pub(crate) fn items(&self, id: Id) -> &[Id] {
        match &self.node(self.followed(id)).content {
            Content::List { items, .. } => items,
            Content::Scalar { .. } | Content::Members { .. } | Content::Alias(_) => &[],
        }
    }

    pub(crate) fn member(&self, id: Id, name: &str) -> Option<&Member> {
        self.members(id).iter().find(|member| member.name == name)
    }

    pub(crate) fn get(&self, id: Id, name: &str) -> Option<Id> {
        self.member(id, name).map(|member| member.value)
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match &self.node(self.followed(id)).content {
            Content::Scalar { text, .. } => Some(text),
            Content::List { .. } | Content::Members { .. } | Content::Alias(_) => None,
        }
    }

    /// The text of a member.
    pub(crate) fn text_of(&self, id: Id, name: &str) -> Option<&str> {
        self.text(self.get(id, name)?)
    }

    pub(crate) fn is_true(&self, id: Id, name: &str) -> bool {
        self.text_of(id, name) == Some("true")
    }

    pub(crate) fn is_object(&self, id: Id) -> bool {
        matches!(
            self.node(self.followed(id)).content,
            Content::Members { .. }
        )
    }

    /// What it says, however it is written. An alias within is what it refers to; one that leads back is nothing.
    pub(crate) fn part(&self, id: Id) -> Part {
        self.part_within(id, DEPTH_MAX)
    }

    fn part_within(&self, id: Id, depth: usize) -> Part {
        let Some(depth) = depth.checked_sub(1) else {
            return Part::Null;
        };
        match &self.node(self.followed(id)).content {
            Content::Scalar { text, plain: true } => plain(text),
            Content::Scalar { text, plain: false } => Part::text(text),
            Content::List { items, .. } => {
                let items = items.iter().map(|item| self.part_within(*item, depth));
                Part::List(items.collect())
            }
            Content::Members { members, .. } => {
                let part = |member: &Member| {
                    let value = self.part_within(member.value, depth);
                    (member.name.clone(), value)
                };
                Part::Members(members.iter().map(part).collect())
            }
            Content::Alias(_) => Part::Null,
        }
    }
}

/// A plain scalar by the core schema of YAML 1.2, which JSON's words are part of.
fn plain(text: &str) -> Part {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Part::Null,
        "true" | "True" | "TRUE" => Part::Flag(true),
        "false" | "False" | "FALSE" => Part::Flag(false),
        _ if is_number(text) => Part::Number(text.to_owned()),
        _ => Part::text(text),
    }
}

/// A number as JSON has it.
pub(crate) fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// Deeper than the parser goes: only an alias of its own parent gets there.
const DEPTH_MAX: usize = 600;
