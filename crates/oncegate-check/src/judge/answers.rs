//! What answers are made of: their kind, and lines that no record may bring back.

use super::{Broken, Court, Holds, Judgement, Unclear};
use crate::case::Variant;
use crate::wire::Response;

impl Court<'_> {
    /// A form whose answer is not what its name says shows nothing.
    pub(super) fn kind(&self, label: &str, variant: Variant) -> Judgement {
        let response = match self.response(label) {
            Ok(response) => response,
            Err(judgement) => return judgement,
        };
        if is_of_kind(response, variant) {
            Holds
        } else {
            Unclear(format!(
                "the form {:?} was answered {} with {} bytes; give one whose answer {}",
                variant.name(),
                response.status,
                response.body.len(),
                promise(variant)
            ))
        }
    }

    pub(super) fn unlike(&self, label: &str, other: &str) -> Judgement {
        match self.pair(label, other) {
            Ok((own, other)) if own.body == other.body && !own.body.is_empty() => {
                Broken(format!("{label} was given the answer of the other request"))
            }
            Ok(_) => Holds,
            Err(judgement) => judgement,
        }
    }

    pub(super) fn reveals_nothing_of(&self, label: &str, other: &str) -> Judgement {
        let (refusal, other) = match self.pair(label, other) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if refusal.is_success() {
            return Holds;
        }
        match self.stage.witness.revealed(other, refusal) {
            Some(what) => Broken(format!(
                "{label} was answered {}, with {what} of the other's answer in it",
                refusal.status
            )),
            None => Holds,
        }
    }

    /// A line that `Connection` names is for one connection. Each answer may have its own; a record brings back the
    /// line without its name.
    pub(super) fn no_hop_by_hop(&self, first: &str, again: &str) -> Judgement {
        let (first, again) = match self.pair(first, again) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        let (named, named_again) = (hop_by_hop(first), hop_by_hop(again));
        if named.is_empty() {
            return Unclear("Connection names no line of the first answer".to_owned());
        }
        let mut lost = named.iter().filter(|name| !named_again.contains(name));
        match lost.find(|name| again.field(name).is_some()) {
            Some(name) => Broken(format!(
                "it repeats {name}, which was for the first connection alone"
            )),
            None => Holds,
        }
    }

    pub(super) fn fresh_date(&self, first: &str, again: &str) -> Judgement {
        let (first, again) = match self.pair(first, again) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        match (first.text("date"), again.text("date")) {
            (None, _) => Unclear("the first answer has no Date".to_owned()),
            (Some(first), Some(again)) if first == again => Broken(format!(
                "it has the Date of the first answer, {first}, a second later"
            )),
            (Some(_), _) => Holds,
        }
    }
}

fn is_of_kind(response: &Response, variant: Variant) -> bool {
    let chunked = || {
        let coding = response.text("transfer-encoding").unwrap_or_default();
        coding.to_ascii_lowercase().contains("chunked")
    };
    match variant {
        Variant::Plain | Variant::Slow => response.is_success(),
        Variant::ClientError => response.status / 100 == 4,
        Variant::ServerError => response.status / 100 == 5,
        Variant::RateLimited => response.status == 429,
        Variant::Cookie => response.field("set-cookie").is_some(),
        Variant::Binary => std::str::from_utf8(&response.body).is_err(),
        Variant::Empty => response.body.is_empty(),
        Variant::Chunked => chunked(),
        Variant::Large => response.body.len() >= LARGE_BYTES_MIN,
    }
}

/// The same in words.
const fn promise(variant: Variant) -> &'static str {
    match variant {
        Variant::Plain | Variant::Slow => "is a success",
        Variant::ClientError => "is a 4xx",
        Variant::ServerError => "is a 5xx",
        Variant::RateLimited => "is a 429",
        Variant::Cookie => "sets a cookie",
        Variant::Binary => "is not text",
        Variant::Empty => "has no body",
        Variant::Chunked => "comes in chunks",
        Variant::Large => "has 64 KiB or more",
    }
}

/// Lines of this answer that `Connection` names and that are there.
fn hop_by_hop(response: &Response) -> Vec<String> {
    let connection = response.text("connection").unwrap_or_default();
    connection
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| response.field(name).is_some())
        .collect()
}

/// More than one read, one chunk or one packet holds.
const LARGE_BYTES_MIN: usize = 64 * 1024;
