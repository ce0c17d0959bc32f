//! How the author writes: what is added is written alike.

use crate::description::Source;
use crate::tree::{Content, Id, Tree};

/// The author's habits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Style {
    /// What ends a line.
    pub(crate) newline: &'static str,
    /// One level of indentation.
    pub(crate) unit: String,
    /// How far the dashes of a list are in from the name above.
    pub(crate) dash: usize,
    /// What texts are quoted with that need it.
    pub(crate) quote: char,
    /// Whether there is a space after `:` and `,` in JSON.
    pub(crate) spaced: bool,
}

impl Style {
    pub(crate) fn of(source: &Source) -> Self {
        let (text, tree) = (&source.text, &source.tree);
        let count = |quote| text.bytes().filter(|byte| *byte == quote).count();
        Self {
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            unit: unit(text, tree),
            dash: dash(text, tree),
            quote: if count(b'"') > count(b'\'') {
                '"'
            } else {
                '\''
            },
            spaced: !source.json || is_spaced(text, tree),
        }
    }

    /// Of a text of our own.
    pub(crate) fn own() -> Self {
        Self {
            newline: "\n",
            unit: "  ".to_owned(),
            dash: 2,
            quote: '\'',
            spaced: true,
        }
    }
}

/// How far the members of the first object within the root are in from those of the root.
fn unit(text: &str, tree: &Tree) -> String {
    let indentation = |id: Id| {
        let first = tree.members(id).first()?;
        let line = text[..first.key.start].rfind('\n')? + 1;
        let indentation = &text[line..first.key.start];
        indentation.trim().is_empty().then_some(indentation)
    };
    if let Content::Members { flow: true, .. } = tree.node(tree.root).content {
        return indentation(tree.root).unwrap_or("  ").to_owned();
    }
    let mut within = tree.members(tree.root).iter().map(|member| member.value);
    let found = within.find_map(|id| indentation(id).filter(|unit| !unit.is_empty()));
    found.unwrap_or("  ").to_owned()
}

/// Of the first list in block style within an object.
fn dash(text: &str, tree: &Tree) -> usize {
    let lists = tree.nodes.iter().filter_map(|node| match &node.content {
        Content::Members {
            flow: false,
            members,
        } => Some(members),
        Content::Members { .. }
        | Content::List { .. }
        | Content::Scalar { .. }
        | Content::Alias(_) => None,
    });
    let mut lists = lists.flatten().filter_map(|member| {
        let Content::List { flow: false, .. } = tree.node(member.value).content else {
            return None;
        };
        let dash = dash_column(text, tree.node(member.value).span.start)?;
        dash.checked_sub(column(text, member.key.start))
    });
    lists.next().unwrap_or(2)
}

fn is_spaced(text: &str, tree: &Tree) -> bool {
    let first = tree.members(tree.root).first();
    first.is_some_and(|member| {
        let between = &text[member.key.end..tree.node(member.value).span.start];
        between.ends_with(' ')
    })
}

/// How many characters are before it on its line.
pub(crate) fn column(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[line..at].chars().count()
}

/// The column of the dash of the first item of a list. The parser says where the item begins, or where its dash is if
/// the item begins on a later line.
pub(crate) fn dash_column(text: &str, first: usize) -> Option<usize> {
    let line = text[..first].rfind('\n').map_or(0, |end| end + 1);
    let before = text[line..first].trim_end();
    let dashes = match before.strip_suffix('-') {
        Some(before) => before,
        None if text[first..].starts_with('-') => &text[line..first],
        None => return None,
    };
    let only = dashes.chars().all(|letter| matches!(letter, ' ' | '-'));
    only.then(|| dashes.chars().count())
}
