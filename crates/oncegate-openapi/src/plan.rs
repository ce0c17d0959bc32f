//! What has to be added to a description so that it says what the contracts say.
//!
//! The author's own comes first. A key that is documented stays as it is. A refusal is documented where a reader of the
//! description would look for its status: at the status if the author has it, else at its range (`4XX`), else at
//! `default`; there its document is added beside the author's, and where the author has documents of the same media
//! type, only examples. Where there is none of these, a response of ours is added. A response behind a reference is
//! added to where it stands, once.

use std::collections::HashMap;

use crate::contract::{Contract, Header, Refusal};
use crate::description::{Operation, Source};
use crate::fault::Fault;
use crate::marks::{NOTE, WERE_EMPTY, pointer};
use crate::part::Part;
use crate::shared::{Shared, by_media_type};
use crate::tree::{Content, Id};

/// What is to be merged into the root, and what that leaves open.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) patch: Part,
    pub(crate) remarks: Vec<Fault>,
}

/// # Errors
/// If a reference leads nowhere or back to itself.
pub(crate) fn plan(
    source: &Source,
    contract: impl Fn(&Operation) -> Option<Contract>,
) -> Result<Plan, Fault> {
    let mut planning = Planning {
        source,
        patch: Part::Members(Vec::new()),
        shared: Shared::default(),
        remarks: Vec::new(),
        referred: HashMap::new(),
    };
    planning.hidden_operations();
    let mut left_out = Vec::new();
    for operation in source.operations()? {
        match contract(&operation) {
            Some(contract) => planning.operation(&operation, &contract)?,
            None => left_out.push(operation),
        }
    }
    planning.shared_with(&left_out)?;
    Ok(planning.finish())
}

struct Planning<'s> {
    source: &'s Source,
    patch: Part,
    shared: Shared,
    remarks: Vec<Fault>,
    /// Responses of the author that several operations may refer to, and have additions now.
    referred: HashMap<Id, String>,
}

/// Where an operation's answers of some status are documented by the author.
struct Place {
    id: Id,
    path: Vec<String>,
}

impl Planning<'_> {
    /// Operations behind a reference of their path stand elsewhere, for several paths perhaps.
    fn hidden_operations(&mut self) {
        let tree = &self.source.tree;
        let paths = tree.get(tree.root, "paths").unwrap_or_default();
        for path in tree.members(paths) {
            if let Some(reference) = tree.member(path.value, "$ref") {
                let message = format!("the operations of `{}` are behind a reference", path.name);
                let fault = Fault::new(reference.key.clone(), message);
                self.remarks
                    .push(fault.help("they are left as they are: write them here"));
            }
        }
    }

    fn operation(&mut self, operation: &Operation, contract: &Contract) -> Result<(), Fault> {
        self.parameter(operation, contract)?;
        let place = [
            "paths".to_owned(),
            operation.path.clone(),
            operation.method.to_ascii_lowercase(),
        ];
        let responses = self.source.tree.get(operation.body, "responses");
        let mut additions: Vec<(Place, Vec<&Refusal>)> = Vec::new();
        for (status, refusals) in by_status(&contract.refusals) {
            let name = responses.and_then(|responses| self.documented_as(responses, status));
            let Some((name, id)) = name else {
                let headers = self.headers(&refusals);
                let response = self.shared.response(status, &refusals, headers);
                let place = place.iter().map(String::as_str);
                let to = self.patch.object_at(place.chain(["responses"]));
                to.set(&status.to_string(), response);
                continue;
            };
            let mut path = place.to_vec();
            path.extend(["responses".to_owned(), name]);
            let Some(place) = self.response(operation, id, path)? else {
                continue;
            };
            match additions.iter_mut().find(|(known, _)| known.id == place.id) {
                Some((_, known)) => known.extend(refusals),
                None => additions.push((place, refusals)),
            }
        }
        // What the author documents gets our headers, whether there are refusals in it or not.
        for member in responses
            .map(|it| self.source.tree.members(it))
            .unwrap_or_default()
        {
            if member.name.starts_with("x-") {
                continue;
            }
            let mut path = place.to_vec();
            path.extend(["responses".to_owned(), member.name.clone()]);
            let known = additions.iter().any(|(known, _)| {
                let resolved = self.source.resolved(member.value).ok().flatten();
                resolved.is_some_and(|resolved| resolved.id == known.id)
            });
            if !known && let Some(place) = self.response(operation, member.value, path)? {
                additions.push((place, Vec::new()));
            }
        }
        for (place, refusals) in additions {
            self.add_to_response(&place, contract, &refusals);
        }
        Ok(())
    }

    /// The name of the entry that a reader would look up for this status.
    fn documented_as(&self, responses: Id, status: u16) -> Option<(String, Id)> {
        let (exact, class) = (status.to_string(), status / 100);
        let names = [
            exact,
            format!("{class}XX"),
            format!("{class}xx"),
            "default".to_owned(),
        ];
        names.into_iter().find_map(|name| {
            let id = self.source.tree.get(responses, &name)?;
            Some((name, id))
        })
    }

    /// Where a response stands; `None` if that is another file.
    fn response(
        &mut self,
        operation: &Operation,
        id: Id,
        path: Vec<String>,
    ) -> Result<Option<Place>, Fault> {
        let Some(resolved) = self.source.resolved(id)? else {
            let message = format!(
                "a response of `{} {}` is in another file, and was left as it is",
                operation.method, operation.path
            );
            let fault = Fault::new(self.source.tree.node(id).span.clone(), message);
            self.remarks
                .push(fault.help("bundle the description into one file"));
            return Ok(None);
        };
        let path = match resolved.path {
            Some(path) => {
                let name = path.last().cloned().unwrap_or_default();
                self.referred.insert(resolved.id, name);
                path
            }
            None => path,
        };
        let id = resolved.id;
        Ok(Some(Place { id, path }))
    }

    /// The key, unless the author has it.
    fn parameter(&mut self, operation: &Operation, contract: &Contract) -> Result<(), Fault> {
        let tree = &self.source.tree;
        for holder in [operation.body, operation.item] {
            let list = tree.get(holder, "parameters");
            for item in list.map(|list| tree.items(list)).unwrap_or_default() {
                let Some(parameter) = self.source.resolved(*item)? else {
                    continue;
                };
                if is_header(self.source, parameter.id, &contract.key.names) {
                    self.compare(operation, parameter.id, contract);
                    return Ok(());
                }
            }
        }
        let reference = self.shared.key(&contract.key);
        let (path, method) = (
            operation.path.clone(),
            operation.method.to_ascii_lowercase(),
        );
        let to = self.patch.object_at(["paths", &path, &method]);
        to.push("parameters", reference);
        Ok(())
    }

    fn compare(&mut self, operation: &Operation, parameter: Id, contract: &Contract) {
        let tree = &self.source.tree;
        let required = tree.is_true(parameter, "required");
        if required != contract.key.required {
            let word = |required| if required { "required" } else { "optional" };
            let message = format!(
                "`{} {}` documents its key as {}, and it is {}",
                operation.method,
                operation.path,
                word(required),
                word(contract.key.required)
            );
            let fault = Fault::new(tree.node(parameter).span.clone(), message);
            self.remarks
                .push(fault.help("what the author documents stays: mend it, or remove it"));
        }
    }

    fn headers(&mut self, refusals: &[&Refusal]) -> Part {
        let mut headers = Part::Members(Vec::new());
        for header in all_headers(&[], refusals) {
            let reference = self.shared.header(header);
            headers.set(&header.name, reference);
        }
        headers
    }

    fn add_to_response(&mut self, place: &Place, contract: &Contract, refusals: &[&Refusal]) {
        let tree = &self.source.tree;
        if !tree.is_object(place.id) {
            return;
        }
        let path = || place.path.iter().map(String::as_str);
        let known = tree.get(place.id, "headers");
        let known_names = known.map(|it| tree.members(it)).unwrap_or_default();
        let is_new = |header: &&Header| {
            !known_names
                .iter()
                .any(|known| known.name.eq_ignore_ascii_case(&header.name))
        };
        let new: Vec<&Header> = all_headers(&contract.answer_headers, refusals)
            .into_iter()
            .filter(is_new)
            .collect();
        for header in new {
            let reference = self.shared.header(header);
            self.patch
                .object_at(path().chain(["headers"]))
                .set(&header.name, reference);
        }
        let content = tree.get(place.id, "content");
        for (media_type, refusals) in by_media_type(refusals) {
            let Some(known) = content.and_then(|content| tree.get(content, media_type)) else {
                let part = self.shared.media_type(&refusals);
                // Another operation may have put it there with fewer examples.
                let to = self.patch.object_at(path().chain(["content"]));
                add_media_type(to, media_type, part);
                continue;
            };
            if tree.get(known, "schema").is_some() {
                let message = format!(
                    "refusals are of the media type `{media_type}`, of which the author has a schema here"
                );
                let fault = Fault::new(tree.node(known).span.clone(), message);
                let fault = fault.help("it stays: see that it permits them");
                if !self.remarks.contains(&fault) {
                    self.remarks.push(fault);
                }
            }
            // One example is the author's word on what it looks like; a list of them takes more.
            if tree.get(known, "example").is_none() && tree.is_object(known) {
                let examples = tree.get(known, "examples");
                let Part::Members(ours) = self.shared.examples(&refusals) else {
                    continue;
                };
                for (name, part) in ours {
                    if examples.is_some_and(|examples| tree.get(examples, &name).is_some()) {
                        continue;
                    }
                    let to = path().chain(["content", media_type, "examples"]);
                    self.patch.object_at(to).set(&name, part);
                }
            }
        }
    }

    /// Says which operations have ours documented by sharing a response, though nothing holds for them.
    fn shared_with(&mut self, left_out: &[Operation]) -> Result<(), Fault> {
        let tree = &self.source.tree;
        let mut counts: HashMap<Id, usize> = HashMap::new();
        for operation in left_out {
            let responses = tree.get(operation.body, "responses");
            for member in responses.map(|it| tree.members(it)).unwrap_or_default() {
                let resolved = self.source.resolved(member.value).ok().flatten();
                if let Some(resolved) = resolved.filter(|it| self.referred.contains_key(&it.id)) {
                    *counts.entry(resolved.id).or_default() += 1;
                }
            }
        }
        let mut shared: Vec<(Id, usize)> = counts.into_iter().collect();
        shared.sort_by_key(|(id, _)| id.0);
        for (id, count) in shared {
            let name = &self.referred[&id];
            let message = format!(
                "the response `{name}` is shared with {count} operations that take no keys, and documents ours there, too"
            );
            let fault = Fault::new(tree.node(id).span.clone(), message);
            self.remarks
                .push(fault.help("give the operations that take keys a response of their own"));
        }
        Ok(())
    }

    fn finish(mut self) -> Plan {
        self.shared.into_patch(&mut self.patch);
        let mut empty = Vec::new();
        let root = self.source.tree.root;
        were_empty(self.source, root, &self.patch, &mut Vec::new(), &mut empty);
        if !empty.is_empty() {
            let empty = Part::texts(empty.iter().map(String::as_str));
            self.patch.object_at([NOTE]).set(WERE_EMPTY, empty);
        }
        Plan {
            patch: self.patch,
            remarks: self.remarks,
        }
    }
}

/// Pointers to what is there, empty, and gets something, so that it is left when ours is taken out.
fn were_empty(
    source: &Source,
    id: Id,
    patch: &Part,
    path: &mut Vec<String>,
    found: &mut Vec<String>,
) {
    let tree = &source.tree;
    let empty = match &tree.node(id).content {
        Content::Members { members, .. } => members.is_empty(),
        Content::List { items, .. } => items.is_empty(),
        Content::Scalar { text, .. } => text.is_empty(),
        Content::Alias(_) => false,
    };
    if empty {
        found.push(pointer(path));
    }
    if let Part::Members(members) = patch {
        for (name, part) in members {
            if let Some(id) = tree.get(id, name) {
                path.push(name.clone());
                were_empty(source, id, part, path, found);
                path.pop();
            }
        }
    }
}

fn add_media_type(content: &mut Part, media_type: &str, part: Part) {
    let known = content.entry(media_type, part.clone());
    if let Some(Part::Members(examples)) = part.get("examples") {
        let known = known.object_at(["examples"]);
        for (name, example) in examples {
            known.set(name, example.clone());
        }
    }
}

fn all_headers<'c>(of_answers: &'c [Header], refusals: &[&'c Refusal]) -> Vec<&'c Header> {
    let mut headers: Vec<&Header> = of_answers.iter().collect();
    for header in refusals.iter().flat_map(|refusal| &refusal.headers) {
        if !headers.iter().any(|known| known.name == header.name) {
            headers.push(header);
        }
    }
    headers
}

fn by_status(refusals: &[Refusal]) -> Vec<(u16, Vec<&Refusal>)> {
    let mut groups: Vec<(u16, Vec<&Refusal>)> = Vec::new();
    for refusal in refusals {
        match groups
            .iter_mut()
            .find(|(status, _)| *status == refusal.status)
        {
            Some((_, group)) => group.push(refusal),
            None => groups.push((refusal.status, vec![refusal])),
        }
    }
    groups.sort_by_key(|(status, _)| *status);
    groups
}

/// Whether a parameter is one of these headers.
pub(crate) fn is_header(source: &Source, parameter: Id, names: &[String]) -> bool {
    let name = source.tree.text_of(parameter, "name").unwrap_or_default();
    source.tree.text_of(parameter, "in") == Some("header")
        && names.iter().any(|known| known.eq_ignore_ascii_case(name))
}
