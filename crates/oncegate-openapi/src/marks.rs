//! What in a description is ours, and how it is cut out.
//!
//! Ours is: a member of `components` whose name starts with [`PREFIX`]; what refers to one, where annotating puts such
//! references; and an object or list that holds nothing else, unless it is noted to have been there empty. Nothing is
//! looked for elsewhere: a schema of the author's that refers to one of ours stays.
//!
//! What is cut is what the insertion put there, to the byte.

use std::ops::Range;

use crate::description::Source;
use crate::merge::Edit;
use crate::tree::{Content, Id, Member};

/// Names of shared parts that are ours start with this.
pub const PREFIX: &str = "oncegate.";
/// The member of the root that lists objects and lists which were there, empty, before something was put into them.
pub(crate) const NOTE: &str = "x-oncegate";
/// Its member.
pub(crate) const WERE_EMPTY: &str = "were-empty";

/// Where ours can be.
enum Shape {
    /// Nothing but a reference is ours.
    Reference,
    /// Members of these names.
    Named(&'static [(&'static str, Self)]),
    /// All members or items.
    Each(&'static Self),
    /// Members whose name is ours.
    Prefixed,
    /// The same, and within the others.
    PrefixedOr(&'static Self),
    /// All of it.
    Whole,
}

static MEDIA_TYPE: Shape = Shape::Named(&[
    ("schema", Shape::Reference),
    ("examples", Shape::Each(&Shape::Reference)),
]);
static RESPONSE: Shape = Shape::Named(&[
    ("headers", Shape::Each(&Shape::Reference)),
    ("content", Shape::Each(&MEDIA_TYPE)),
]);
static OPERATION: Shape = Shape::Named(&[
    ("parameters", Shape::Each(&Shape::Reference)),
    ("responses", Shape::Each(&RESPONSE)),
]);
static PATH: Shape = Shape::Each(&OPERATION);
static ROOT: Shape = Shape::Named(&[
    ("paths", Shape::Each(&PATH)),
    (
        "components",
        Shape::Named(&[
            ("parameters", Shape::Prefixed),
            ("headers", Shape::Prefixed),
            ("schemas", Shape::Prefixed),
            ("examples", Shape::Prefixed),
            ("responses", Shape::PrefixedOr(&RESPONSE)),
        ]),
    ),
    (NOTE, Shape::Whole),
]);

/// The cuts that leave what the author wrote, in their order.
pub(crate) fn removals(source: &Source) -> Vec<Edit> {
    let mut sweep = Sweep {
        source,
        were_empty: were_empty(source),
        path: Vec::new(),
        cuts: Vec::new(),
    };
    sweep.is_ours(source.tree.root, &ROOT);
    let mut cuts = sweep.cuts;
    cuts.sort_by_key(|cut| cut.span.start);
    cuts
}

/// Whether it is a reference to a shared part of ours.
pub(crate) fn refers_to_ours(source: &Source, id: Id) -> bool {
    let Content::Members { members, .. } = &source.tree.node(id).content else {
        return false;
    };
    let target = members.iter().find(|member| member.name == "$ref");
    let target = target.and_then(|member| source.tree.text(member.value));
    let name = target.and_then(|target| target.strip_prefix("#/components/")?.split('/').nth(1));
    members.len() == 1 && name.is_some_and(|name| name.starts_with(PREFIX))
}

fn were_empty(source: &Source) -> Vec<String> {
    let tree = &source.tree;
    let list = tree
        .get(tree.root, NOTE)
        .and_then(|note| tree.get(note, WERE_EMPTY));
    let items = list.map(|list| tree.items(list)).unwrap_or_default();
    let texts = items.iter().filter_map(|item| tree.text(*item));
    texts.map(str::to_owned).collect()
}

/// A JSON pointer.
pub(crate) fn pointer(path: &[String]) -> String {
    let escaped = path
        .iter()
        .map(|name| name.replace('~', "~0").replace('/', "~1"));
    escaped.fold(String::new(), |pointer, name| pointer + "/" + &name)
}

struct Sweep<'s> {
    source: &'s Source,
    were_empty: Vec<String>,
    path: Vec<String>,
    cuts: Vec<Edit>,
}

impl Sweep<'_> {
    /// Whether all of a node is ours. If not, what of it is ours is cut.
    fn is_ours(&mut self, id: Id, shape: &Shape) -> bool {
        if matches!(shape, Shape::Whole) || refers_to_ours(self.source, id) {
            return true;
        }
        let source = self.source;
        let ours: Vec<bool> = match &source.tree.node(id).content {
            Content::Members { members, .. } => {
                let ours = members
                    .iter()
                    .map(|member| self.member_is_ours(member, shape));
                ours.collect()
            }
            Content::List { items, .. } => {
                let Shape::Each(shape) = shape else {
                    return false;
                };
                let ours = items.iter().map(|item| self.is_ours(*item, shape));
                ours.collect()
            }
            Content::Scalar { .. } | Content::Alias(_) => return false,
        };
        let all = !ours.is_empty() && ours.iter().all(|ours| *ours);
        if all && !self.was_empty() {
            return true;
        }
        self.cut(id, &ours);
        false
    }

    fn member_is_ours(&mut self, member: &Member, shape: &Shape) -> bool {
        let prefixed = member.name.starts_with(PREFIX);
        let shape = match shape {
            Shape::Reference => return false,
            Shape::Prefixed => return prefixed,
            Shape::PrefixedOr(_) if prefixed => return true,
            Shape::PrefixedOr(shape) | Shape::Each(shape) => shape,
            Shape::Whole => return true,
            Shape::Named(shapes) => {
                let mut shapes = shapes.iter();
                match shapes.find(|(name, _)| *name == member.name) {
                    Some((_, shape)) => shape,
                    None => return false,
                }
            }
        };
        self.path.push(member.name.clone());
        let ours = self.is_ours(member.value, shape);
        self.path.pop();
        ours
    }

    fn was_empty(&self) -> bool {
        !self.were_empty.is_empty() && self.were_empty.contains(&pointer(&self.path))
    }

    fn cut(&mut self, id: Id, ours: &[bool]) {
        if !ours.contains(&true) {
            return;
        }
        let tree = &self.source.tree;
        let node = tree.node(id);
        let (flow, parts): (bool, Vec<Range<usize>>) = match &node.content {
            Content::List { flow, items } => {
                let spans = items.iter().map(|item| tree.node(*item).span.clone());
                (*flow, spans.collect())
            }
            Content::Members { flow, members } => {
                let span = |it: &Member| it.key.start..tree.node(it.value).span.end.max(it.key.end);
                (*flow, members.iter().map(span).collect())
            }
            Content::Scalar { .. } | Content::Alias(_) => return,
        };
        for at in (0..parts.len()).filter(|at| ours[*at]) {
            let span = if flow {
                flow_cut(node.span.start, &parts, ours, at)
            } else {
                block_cut(&self.source.text, &parts[at])
            };
            self.cuts.push(Edit::cut(span));
        }
    }
}

/// With what separates it from the one before; of the first, from the one after.
fn flow_cut(start: usize, parts: &[Range<usize>], ours: &[bool], at: usize) -> Range<usize> {
    let part = &parts[at];
    if ours[..at].contains(&false) {
        return parts[at - 1].end..part.end;
    }
    // All before it are cut, too.
    match (at, parts.get(at + 1)) {
        (_, Some(next)) if ours[at..].contains(&false) => part.start..next.start,
        (0, _) => start + 1..part.end,
        _ => parts[at - 1].end..part.end,
    }
}

/// Its lines, with the line end before them.
fn block_cut(text: &str, part: &Range<usize>) -> Range<usize> {
    let line = text[..part.start].rfind('\n').unwrap_or_default();
    let line = if text[..line].ends_with('\r') {
        line - 1
    } else {
        line
    };
    line..end_of_line(text, part.end)
}

/// Where the line ends that this byte is on, before the characters that end it.
pub(crate) fn end_of_line(text: &str, at: usize) -> usize {
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length);
    if end > at && text[..end].ends_with('\r') {
        end - 1
    } else {
        end
    }
}
