//! From a text to its tree, or to what is wrong with it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, options};

use crate::fault::{Fault, line};
use crate::tree::{Content, Id, Member, Node, Tree};

/// Reads a text, JSON or YAML, without a byte order mark.
pub(crate) fn read(text: &str) -> Result<Tree, Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault::new(
            0..0,
            format!("it is larger than {BYTES_MAX} bytes"),
        ));
    }
    let mut reader = Reader {
        text,
        tree: Tree {
            nodes: Vec::new(),
            root: Id::default(),
            anchors: HashMap::new(),
            aliased: HashSet::new(),
        },
        open: Vec::new(),
        documents: 0,
    };
    let options = options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => reader.take(event, &span)?,
            Err(error) => return Err(broken(text, &error)),
        }
    }
    if reader.tree.nodes.is_empty() {
        return Err(Fault::new(0..0, "there is nothing in it"));
    }
    Ok(reader.tree)
}

/// Whether it is meant to be JSON; of one that is, JSON's own errors say more.
pub(crate) fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Whether it is JSON.
pub(crate) fn is_json(text: &str) -> bool {
    looks_like_json(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn broken(text: &str, error: &granit_parser::ScanError) -> Fault {
    if looks_like_json(text)
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        let lines = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let start = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let at = floor(text, start);
        return Fault::new(at..at, format!("this is not JSON: {error}"));
    }
    let at = floor(text, error.marker().byte_offset().unwrap_or_default());
    Fault::new(at..at, format!("this is not YAML: {}", error.info()))
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Reader<'t> {
    text: &'t str,
    tree: Tree,
    open: Vec<Open>,
    documents: usize,
}

/// A collection whose end was not seen yet, and the name of the member that comes.
struct Open {
    id: Id,
    name: Option<(String, Range<usize>)>,
}

impl Reader<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's enum may grow, by what carries no nodes"
    )]
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fault> {
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let fault = Fault::new(range, "there is a second document in the file");
                    return Err(fault.help("keep one description in a file"));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let empty = plain && range.is_empty();
                let span = if empty {
                    self.nothing(range)
                } else {
                    self.scalar_span(range, style)
                };
                let text = if empty {
                    String::new()
                } else {
                    text.into_owned()
                };
                self.add(span, anchor, Content::Scalar { text, plain })?;
            }
            Event::Alias(anchor) => {
                self.tree.aliased.insert(anchor);
                self.add(range, 0, Content::Alias(anchor))?;
            }
            Event::SequenceStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                let items = Vec::new();
                self.open(range, anchor, Content::List { flow, items })?;
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                let members = Vec::new();
                self.open(range, anchor, Content::Members { flow, members })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&range)?,
            _ => {}
        }
        Ok(())
    }

    /// Where a value would stand that is not there: right behind its name.
    fn nothing(&self, range: Range<usize>) -> Range<usize> {
        let name = self.open.last().and_then(|open| open.name.as_ref());
        name.map_or(range, |(_, key)| key.end..key.end)
    }

    /// The parser counts blank lines after a block scalar as its own. They are only if it keeps them.
    fn scalar_span(&self, range: Range<usize>, style: ScalarStyle) -> Range<usize> {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return range;
        }
        let raw = &self.text[range.clone()];
        let before = &self.text[..range.start];
        let header = before.rfind(['|', '>']).unwrap_or(range.start);
        let keeps = self.text[header..range.start].contains('+');
        let content = raw.trim_end_matches([' ', '\t', '\r', '\n']);
        let end = match (keeps, content.is_empty()) {
            (true, _) => range.start + raw.rfind('\n').unwrap_or(raw.len()),
            (false, true) => before.trim_end().len(),
            (false, false) => range.start + content.len(),
        };
        header..end
    }

    fn open(&mut self, range: Range<usize>, anchor: usize, content: Content) -> Result<(), Fault> {
        let id = self.add(range, anchor, content)?;
        self.open.push(Open { id, name: None });
        Ok(())
    }

    fn add(&mut self, span: Range<usize>, anchor: usize, content: Content) -> Result<Id, Fault> {
        let id = Id(self.tree.nodes.len());
        let is_name = self.place(id, &span, &content)?;
        if !is_name {
            self.tree.nodes.push(Node {
                span,
                anchor,
                content,
            });
            if anchor != 0 {
                self.tree.anchors.insert(anchor, id);
            }
        }
        Ok(id)
    }

    /// Puts a node into the collection that is open; of an object's, every other one is a name.
    fn place(&mut self, id: Id, span: &Range<usize>, content: &Content) -> Result<bool, Fault> {
        let Some(open) = self.open.last_mut() else {
            return Ok(false);
        };
        match &mut self.tree.nodes[open.id.0].content {
            Content::List { items, .. } => items.push(id),
            Content::Members { members, .. } => match (open.name.take(), content) {
                (Some((name, key)), _) => members.push(Member {
                    name,
                    key,
                    value: id,
                }),
                (None, Content::Scalar { text, .. }) => {
                    open.name = Some((text.clone(), span.clone()));
                    return Ok(true);
                }
                (None, Content::List { .. } | Content::Members { .. } | Content::Alias(_)) => {
                    let fault = Fault::new(span.clone(), "a name is not a text");
                    return Err(fault.help("names of members are texts in OpenAPI"));
                }
            },
            Content::Scalar { .. } | Content::Alias(_) => {}
        }
        Ok(false)
    }

    fn close(&mut self, range: &Range<usize>) -> Result<(), Fault> {
        let Some(Open { id, .. }) = self.open.pop() else {
            return Ok(());
        };
        let node = self.tree.node(id);
        let (flow, last) = match &node.content {
            Content::List { flow, items } => (*flow, items.last().copied()),
            Content::Members { flow, members } => {
                no_name_twice(self.text, members)?;
                (*flow, members.last().map(|member| member.value))
            }
            Content::Scalar { .. } | Content::Alias(_) => (true, None),
        };
        let end = match last.filter(|_| !flow) {
            Some(last) => self.tree.node(last).span.end,
            None => range.end,
        };
        self.tree.nodes[id.0].span.end = end.max(self.tree.node(id).span.start);
        Ok(())
    }
}

fn no_name_twice(text: &str, members: &[Member]) -> Result<(), Fault> {
    let mut seen: HashMap<&str, &Member> = HashMap::with_capacity(members.len());
    for member in members {
        if let Some(first) = seen.insert(&member.name, member) {
            let message = format!("`{}` is there twice", member.name);
            let first = line(text, first.key.start);
            let help =
                format!("the first one is in line {first}: readers differ in which one they take");
            return Err(Fault::new(member.key.clone(), message).help(help));
        }
    }
    Ok(())
}

/// Largest description.
const BYTES_MAX: usize = 256 * 1024 * 1024;
