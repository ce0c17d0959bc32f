//! What no report shows: the values of header lines by which somebody could act as somebody else.
//!
//! They are masked in the lines that carry them, and wherever else they turn up: an API may echo them.
//! What stands in a URL or in a body because whoever runs the check put it there is shown.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::operation::{CREDENTIALS, Operation};
use crate::wire::Outcome;

/// The secrets of a run.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Names of the lines, in lower case.
    names: BTreeSet<String>,
    /// The values that requests had under each name, in the order in which they came up.
    values: BTreeMap<String, Vec<Vec<u8>>>,
    /// What is masked wherever it stands, the longest first.
    parts: Vec<Vec<u8>>,
}

impl Secrets {
    /// All secrets that were sent in these findings, either way, and those of the operation.
    pub(super) fn of(operation: &Operation, findings: &[Finding]) -> Self {
        let mut secrets = Self::default();
        let of_principals = operation.second.iter().flatten();
        secrets.names = CREDENTIALS
            .iter()
            .chain(OTHER_SECRETS)
            .map(|name| (*name).to_owned())
            .chain(of_principals.map(|(name, _)| name.to_ascii_lowercase()))
            .collect();
        for (name, value) in &operation.plain().fields {
            secrets.learn_sent(name, value);
        }
        for exchange in findings.iter().flat_map(|finding| &finding.exchanges) {
            for (name, value) in &exchange.request.fields {
                secrets.learn_sent(name, value);
            }
            if let Outcome::Answered(response) = &exchange.outcome {
                for (name, value) in &response.fields {
                    secrets.learn_parts(name, value);
                }
            }
        }
        secrets.parts.sort_by_key(|part| usize::MAX - part.len());
        secrets.parts.dedup();
        secrets
    }

    /// The environment variable that holds this value in scripts, if it is a secret.
    pub(super) fn variable(&self, name: &str, value: &[u8]) -> Option<String> {
        let values = self.values.get(&name.to_ascii_lowercase())?;
        let at = values.iter().position(|known| known == value)?;
        let name = name.to_ascii_uppercase().replace('-', "_");
        Some(match at {
            0 => name,
            _ => format!("{name}_{}", at + 1),
        })
    }

    /// A header line's value as it may be shown.
    pub(super) fn value(&self, name: &str, value: &[u8]) -> Vec<u8> {
        if !self.names.contains(&name.to_ascii_lowercase()) {
            return self.mask(value);
        }
        match self.variable(name, value) {
            // Which of two principals it was is what a reader has to know.
            Some(variable) => format!("{MASK} (${variable})").into_bytes(),
            None => MASK.as_bytes().to_vec(),
        }
    }

    /// Bytes without any secret.
    pub(super) fn mask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut masked = bytes.to_vec();
        for part in &self.parts {
            while let Some(at) = find(&masked, part) {
                masked.splice(at..at + part.len(), MASK.bytes());
            }
        }
        masked
    }

    fn learn_sent(&mut self, name: &str, value: &[u8]) {
        self.learn_parts(name, value);
        let name = name.to_ascii_lowercase();
        if !self.names.contains(&name) {
            return;
        }
        let values = self.values.entry(name).or_default();
        if !values.iter().any(|known| known == value) {
            values.push(value.to_vec());
        }
    }

    /// The token behind a scheme and the values of cookies are secrets without what stands around them.
    fn learn_parts(&mut self, name: &str, value: &[u8]) {
        if !self.names.contains(&name.to_ascii_lowercase()) {
            return;
        }
        let parts = value.split(|byte| matches!(byte, b' ' | b';' | b'=' | b','));
        for part in parts.chain([value]) {
            if part.len() >= PART_BYTES_MIN && !self.parts.iter().any(|known| known == part) {
                self.parts.push(part.to_vec());
            }
        }
    }
}

/// Where the part begins.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter values are not looked for elsewhere: a mask over each `1` would hide what the report is about.
const PART_BYTES_MIN: usize = 8;
/// Lines that hold secrets, though they do not say to the API who asks.
const OTHER_SECRETS: &[&str] = &["proxy-authorization", "set-cookie"];
