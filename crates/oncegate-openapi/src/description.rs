//! An OpenAPI description: its operations, and what they refer to.

use crate::contract::Contract;
use crate::fault::Fault;
use crate::marks;
use crate::merge::{self, Edit};
use crate::overlay;
use crate::plan::{self, Plan};
use crate::read::{is_json, read};
use crate::servers;
use crate::style::Style;
use crate::tree::{Id, Tree};

/// A description that was read: the text, and what in it is not ours.
#[derive(Debug)]
pub struct Description {
    /// Without the byte order mark.
    text: String,
    has_mark: bool,
    /// What was cut out of the text that was given, in its bytes.
    cut: Vec<Edit>,
    plain: Source,
}

/// A text and its tree.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    pub(crate) tree: Tree,
    pub(crate) json: bool,
}

/// An operation of a description.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// `POST`.
    pub method: String,
    /// The path as the description has it: `/payments/{id}`.
    pub path: String,
    /// The path that requests have, with that of the server: `/v1/payments/{id}`.
    pub target: String,
    pub(crate) item: Id,
    pub(crate) body: Id,
}

/// A description with contracts in it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Annotated {
    /// The text.
    pub text: String,
    /// What could not be documented, or is documented otherwise by the author. Places are in the text that was given.
    pub remarks: Vec<Fault>,
}

impl Description {
    /// Reads a description in JSON or YAML.
    ///
    /// # Errors
    /// If it is neither, or no OpenAPI 3.
    pub fn parse(text: String) -> Result<Self, Fault> {
        let has_mark = text.starts_with(MARK);
        let text = text.strip_prefix(MARK).map(str::to_owned).unwrap_or(text);
        let source = Source::read(text.clone())?;
        source.is_openapi()?;
        let cut = marks::removals(&source);
        let plain = if cut.is_empty() {
            source
        } else {
            Source::read(merge::apply(&text, &cut))?
        };
        Ok(Self {
            text,
            has_mark,
            cut,
            plain,
        })
    }

    /// The text without anything of ours: what the author wrote, to the byte.
    #[must_use]
    pub fn plain(&self) -> String {
        self.marked(&self.plain.text)
    }

    /// Whether something of ours is in it.
    #[must_use]
    pub const fn is_annotated(&self) -> bool {
        !self.cut.is_empty()
    }

    /// All operations, in the order of the description.
    ///
    /// # Errors
    /// If a reference leads nowhere or back to itself.
    pub fn operations(&self) -> Result<Vec<Operation>, Fault> {
        self.plain
            .operations()
            .map_err(|fault| self.original(fault))
    }

    /// What the operations say of their keys, ours included.
    ///
    /// # Errors
    /// If a reference leads nowhere or back to itself.
    pub fn documented(&self) -> Result<Vec<crate::Documented>, Fault> {
        crate::discover::documented(&Source::read(self.text.clone())?)
    }

    /// The text with these contracts in it, in place of what was there of ours.
    ///
    /// # Errors
    /// If there is no way to add something: below an alias, for instance.
    pub fn annotated(
        &self,
        contract: impl Fn(&Operation) -> Option<Contract>,
    ) -> Result<Annotated, Fault> {
        let plan = self.plan(contract)?;
        let style = Style::of(&self.plain);
        let edits = merge::edits(&self.plain, &style, &plan.patch);
        let edits = edits.map_err(|fault| self.original(fault))?;
        Ok(Annotated {
            text: self.marked(&merge::apply(&self.plain.text, &edits)),
            remarks: self.remarks(plan),
        })
    }

    /// An OpenAPI Overlay (1.0) that adds these contracts to the text without ours. `extends` names the description.
    ///
    /// # Errors
    /// As [`annotated`](Self::annotated).
    pub fn overlay(
        &self,
        extends: Option<&str>,
        json: bool,
        contract: impl Fn(&Operation) -> Option<Contract>,
    ) -> Result<Annotated, Fault> {
        let plan = self.plan(contract)?;
        Ok(Annotated {
            text: overlay::write(&plan.patch, extends, json),
            remarks: self.remarks(plan),
        })
    }

    /// Where a byte of the text without ours is in the text that was given.
    fn original(&self, mut fault: Fault) -> Fault {
        let moved = |at: usize| {
            let mut at = at;
            for cut in &self.cut {
                if cut.span.start > at {
                    break;
                }
                at += cut.span.len();
            }
            at + if self.has_mark { MARK.len_utf8() } else { 0 }
        };
        let (start, length) = (moved(fault.span.start), fault.span.len());
        fault.span = start..start + length;
        fault
    }

    fn plan(&self, contract: impl Fn(&Operation) -> Option<Contract>) -> Result<Plan, Fault> {
        plan::plan(&self.plain, contract).map_err(|fault| self.original(fault))
    }

    fn remarks(&self, plan: Plan) -> Vec<Fault> {
        let remarks = plan.remarks.into_iter();
        remarks.map(|fault| self.original(fault)).collect()
    }

    fn marked(&self, text: &str) -> String {
        let mark = if self.has_mark { "\u{feff}" } else { "" };
        format!("{mark}{text}")
    }
}

impl Source {
    pub(crate) fn read(text: String) -> Result<Self, Fault> {
        let tree = read(&text)?;
        let json = is_json(&text);
        Ok(Self { text, tree, json })
    }

    fn is_openapi(&self) -> Result<(), Fault> {
        let (tree, root) = (&self.tree, self.tree.root);
        if let Some(version) = tree.member(root, "swagger") {
            let fault = Fault::new(
                version.key.clone(),
                "this is Swagger 2: OpenAPI 3 is needed",
            );
            return Err(fault.help("convert it first, for instance with swagger2openapi"));
        }
        let Some(version) = tree.member(root, "openapi") else {
            let fault = Fault::new(0..0, "this is no OpenAPI description");
            return Err(fault.help("it has no `openapi: 3.1.0`"));
        };
        let text = tree.text(version.value).unwrap_or_default();
        if !VERSIONS.iter().any(|known| text.starts_with(known)) {
            let message = format!("OpenAPI `{text}` is not known");
            let fault = Fault::new(tree.node(version.value).span.clone(), message);
            return Err(fault.help("3.0, 3.1 and 3.2 are"));
        }
        match tree.member(root, "paths") {
            Some(paths) if tree.is_object(paths.value) => Ok(()),
            Some(paths) => {
                let fault = Fault::new(paths.key.clone(), "`paths` is no object");
                Err(fault.help("write paths below it, each with its operations"))
            }
            None => {
                let fault = Fault::new(version.key.clone(), "it has no `paths`");
                Err(fault.help("a description without operations has nothing to annotate"))
            }
        }
    }

    pub(crate) fn operations(&self) -> Result<Vec<Operation>, Fault> {
        let tree = &self.tree;
        let mut operations = Vec::new();
        let paths = tree.get(tree.root, "paths").unwrap_or_default();
        for path in tree
            .members(paths)
            .iter()
            .filter(|it| it.name.starts_with('/'))
        {
            for member in tree.members(path.value) {
                if !METHODS.contains(&member.name.as_str()) {
                    continue;
                }
                let base = servers::base(self, [member.value, path.value, tree.root]);
                operations.push(Operation {
                    method: member.name.to_ascii_uppercase(),
                    path: path.name.clone(),
                    target: format!("{base}{}", path.name),
                    item: path.value,
                    body: member.value,
                });
            }
        }
        Ok(operations)
    }

    /// The node behind a chain of references within the text, and the path to it if there was one; `None` if one leads
    /// into another file.
    ///
    /// # Errors
    /// If a reference leads nowhere or back to itself.
    pub(crate) fn resolved(&self, id: Id) -> Result<Option<Resolved>, Fault> {
        let mut found = Resolved { id, path: None };
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = self.tree.get(found.id, "$ref") else {
                return Ok(Some(found));
            };
            let Some(pointer) = self
                .tree
                .text(reference)
                .and_then(|it| it.strip_prefix('#'))
            else {
                return Ok(None);
            };
            found = self.at(pointer).ok_or_else(|| {
                let span = self.tree.node(reference).span.clone();
                Fault::new(span, format!("`#{pointer}` is not there"))
                    .help("mend the reference, or add what it refers to")
            })?;
        }
        let span = self.tree.node(id).span.clone();
        Err(Fault::new(span, "this reference leads back to itself")
            .help("one of the chain has to be the thing itself"))
    }

    fn at(&self, pointer: &str) -> Option<Resolved> {
        let mut found = self.tree.root;
        let mut path = Vec::new();
        for name in pointer.split('/').skip(1) {
            let name = percent_decoded(name).replace("~1", "/").replace("~0", "~");
            found = self.tree.get(found, &name)?;
            path.push(name);
        }
        let path = Some(path);
        Some(Resolved { id: found, path })
    }
}

/// What a reference means.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) id: Id,
    /// The names that lead to it from the root; `None`, if there was no reference to follow.
    pub(crate) path: Option<Vec<String>>,
}

/// References are URLs, and may be percent-encoded: `#/paths/~1a~1%7Bid%7D`.
fn percent_decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(name)
        .decode_utf8_lossy()
        .into_owned()
}

/// What may be an operation of a path.
const METHODS: [&str; 9] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace", "query",
];
const VERSIONS: [&str; 3] = ["3.0", "3.1", "3.2"];
const MARK: char = '\u{feff}';
/// Longest chain of references.
const REFERENCES_MAX: usize = 64;
