//! Puts a part into a text, by insertions at the places of what is there already.
//!
//! An object is merged into an object, a list appended to a list. What is there is never changed: where a value of the
//! author's stands in the way, that is a fault.

use std::ops::Range;

use crate::description::Source;
use crate::fault::Fault;
use crate::marks::end_of_line;
use crate::part::Part;
use crate::style::{Style, column, dash_column};
use crate::tree::{Content, Id, Member, Node};
use crate::write;

/// A text in place of a range, one of which is empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Edit {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

impl Edit {
    pub(crate) const fn cut(span: Range<usize>) -> Self {
        let text = String::new();
        Self { span, text }
    }

    const fn insertion(at: usize, text: String) -> Self {
        Self { span: at..at, text }
    }
}

/// The text with these edits, which are in order and do not overlap.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        debug_assert!(at <= edit.span.start, "edits are in order");
        out.push_str(&text[at..edit.span.start]);
        out.push_str(&edit.text);
        at = edit.span.end;
    }
    out.push_str(&text[at..]);
    out
}

/// The insertions that merge `patch` into the root.
pub(crate) fn edits(source: &Source, style: &Style, patch: &Part) -> Result<Vec<Edit>, Fault> {
    let mut merge = Merge {
        source,
        style,
        edits: Vec::new(),
    };
    merge.add_to_node(source.tree.root, None, patch)?;
    let mut edits = merge.edits;
    // Of two at one place the deeper one was found first, and comes first: the sort is stable.
    edits.sort_by_key(|edit| edit.span.start);
    Ok(edits)
}

struct Merge<'s> {
    source: &'s Source,
    style: &'s Style,
    edits: Vec<Edit>,
}

impl Merge<'_> {
    /// `member`: the one whose value the node is.
    fn add_to_node(&mut self, id: Id, member: Option<&Member>, patch: &Part) -> Result<(), Fault> {
        let node = self.source.tree.node(id);
        self.can_be_edited(node)?;
        match (&node.content, patch) {
            (Content::Members { flow, members }, Part::Members(added)) => {
                if let Some(merge) = members.iter().find(|member| member.name == "<<") {
                    let fault = Fault::new(merge.key.clone(), "this object merges another one in");
                    return Err(fault.help(HELP));
                }
                self.add_to_members(node, *flow, members, added)
            }
            (Content::List { flow: true, items }, Part::List(added)) => {
                let parts = items
                    .iter()
                    .map(|item| self.source.tree.node(*item).span.clone());
                let parts: Vec<Range<usize>> = parts.collect();
                self.add_to_flow(node, &parts, added, |item, write| write(item));
                Ok(())
            }
            (Content::List { flow: false, .. }, Part::List(added)) => {
                self.add_to_block_list(node, added)
            }
            (Content::Scalar { text, plain: true }, Part::Members(_) | Part::List(_))
                if text.is_empty() && node.span.is_empty() =>
            {
                self.add_to_nothing(node, member, patch)
            }
            (
                Content::Scalar { .. }
                | Content::List { .. }
                | Content::Members { .. }
                | Content::Alias(_),
                _,
            ) => {
                let what = if matches!(patch, Part::List(_)) {
                    "a list"
                } else {
                    "an object"
                };
                let name = member.map(|member| format!("`{}`", member.name));
                let name = name.as_deref().unwrap_or("this");
                let fault = Fault::new(node.span.clone(), format!("{name} is not {what}"));
                Err(fault.help("something has to be added to it: mend it, or use --overlay"))
            }
        }
    }

    fn can_be_edited(&self, node: &Node) -> Result<(), Fault> {
        let what = match node.content {
            Content::Alias(_) => "this is an alias: what is added here would be added everywhere",
            Content::Scalar { .. } | Content::List { .. } | Content::Members { .. } => {
                if !self.source.tree.aliased.contains(&node.anchor) {
                    return Ok(());
                }
                "this has an anchor: what is added here would be added at its aliases, too"
            }
        };
        Err(Fault::new(node.span.clone(), what).help(HELP))
    }

    fn add_to_members(
        &mut self,
        node: &Node,
        flow: bool,
        members: &[Member],
        added: &[(String, Part)],
    ) -> Result<(), Fault> {
        let mut new = Vec::new();
        for (name, part) in added {
            match members.iter().find(|member| member.name == *name) {
                Some(member) => self.add_to_node(member.value, Some(member), part)?,
                None => new.push((name, part)),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        if flow {
            let tree = &self.source.tree;
            let part = |it: &Member| it.key.start..tree.node(it.value).span.end.max(it.key.end);
            let parts: Vec<Range<usize>> = members.iter().map(part).collect();
            let colon = if self.style.spaced { ": " } else { ":" };
            self.add_to_flow(node, &parts, &new, |(name, part), write| {
                let name = write::flow(&Part::text(name.as_str()), true);
                format!("{name}{colon}{}", write(part))
            });
            return Ok(());
        }
        let indent = self.indent(node, members)?;
        let mut text = String::new();
        for (name, part) in new {
            write::block_member(&mut text, indent, name, part, self.style);
        }
        self.insert_after(node.span.end, text);
        Ok(())
    }

    /// The column of the members of an object in block style.
    fn indent(&self, node: &Node, members: &[Member]) -> Result<usize, Fault> {
        let text = &self.source.text;
        let is_first = |member: &&Member| {
            let line = text[..member.key.start]
                .rfind('\n')
                .map_or(0, |end| end + 1);
            let mut before = text[line..member.key.start].chars();
            before.all(|letter| matches!(letter, ' ' | '-'))
        };
        let member = members.iter().find(is_first).ok_or_else(|| {
            let message = "the names of this object do not stand at the beginning of lines";
            Fault::new(node.span.clone(), message).help(HELP)
        })?;
        Ok(column(text, member.key.start))
    }

    fn add_to_block_list(&mut self, node: &Node, added: &[Part]) -> Result<(), Fault> {
        let column = dash_column(&self.source.text, node.span.start).ok_or_else(|| {
            let message = "the first item of this list is not on the line of its dash";
            Fault::new(node.span.clone(), message).help("put it there, or use --overlay")
        })?;
        let mut text = String::new();
        for item in added {
            write::block_item(&mut text, column, item, self.style);
        }
        self.insert_after(node.span.end, text);
        Ok(())
    }

    /// `name:` without a value in block style.
    fn add_to_nothing(
        &mut self,
        node: &Node,
        member: Option<&Member>,
        patch: &Part,
    ) -> Result<(), Fault> {
        let text = &self.source.text;
        let followed_by_colon = text[node.span.end..].starts_with(':');
        let Some(member) = member.filter(|_| followed_by_colon) else {
            let fault = Fault::new(node.span.clone(), "there is nothing here to add to");
            return Err(fault.help("write {} or [] here"));
        };
        let indent = column(text, member.key.start);
        let mut added = String::new();
        match patch {
            Part::Members(members) => {
                for (name, part) in members {
                    let deeper = indent + self.style.unit.len();
                    write::block_member(&mut added, deeper, name, part, self.style);
                }
            }
            Part::List(items) => {
                for item in items {
                    write::block_item(&mut added, indent + self.style.dash, item, self.style);
                }
            }
            Part::Null | Part::Flag(_) | Part::Number(_) | Part::Text(_) => {}
        }
        self.insert_after(node.span.end, added);
        Ok(())
    }

    fn insert_after(&mut self, at: usize, text: String) {
        let end = end_of_line(&self.source.text, at);
        self.edits.push(Edit::insertion(end, text));
    }

    /// After the last part of a list or object in flow style, on a line of its own if the first part has one.
    fn add_to_flow<T>(
        &mut self,
        node: &Node,
        parts: &[Range<usize>],
        added: &[T],
        written: impl Fn(&T, &dyn Fn(&Part) -> String) -> String,
    ) {
        let style = self.style;
        let before = match parts.first() {
            Some(first) => &self.source.text[node.span.start + 1..first.start],
            None => "",
        };
        let on_lines = before.contains('\n') && before.trim().is_empty();
        let indentation = before.rsplit('\n').next().unwrap_or_default();
        let write = |part: &Part| {
            if on_lines && self.source.json {
                write::lines(part, indentation, style)
            } else {
                write::flow(part, style.spaced)
            }
        };
        let separator = match (on_lines, style.spaced) {
            (true, _) => format!(",{}{indentation}", style.newline),
            (false, true) => ", ".to_owned(),
            (false, false) => ",".to_owned(),
        };
        let added: Vec<String> = added.iter().map(|it| written(it, &write)).collect();
        let text = added.join(&separator);
        let edit = match parts.last() {
            Some(last) => Edit::insertion(last.end, separator + &text),
            None => Edit::insertion(node.span.start + 1, text),
        };
        self.edits.push(edit);
    }
}

const HELP: &str = "write it out, or use --overlay, which leaves the description alone";
