//! Operations that document a key, and what they say of it.

use serde_json::Value;

use super::description::{Description, InvalidDescription};
use super::sample::size;
use crate::policy::{KeyPolicy, Policy};

/// An operation that documents a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentedOperation {
    /// Method and path as the description has them: `POST /payments/{id}/capture`.
    pub name: String,
    /// What is said of its keys.
    pub policy: Policy,
    pub(super) method: String,
    pub(super) path: String,
}

impl Description {
    /// The operations that document a key, in the order of the description.
    ///
    /// # Errors
    /// If a reference leads nowhere.
    pub fn operations(&self) -> Result<Vec<DocumentedOperation>, InvalidDescription> {
        let mut documented = Vec::new();
        for (path, item) in Self::members(&self.root, "paths") {
            let item = self.resolved(item)?;
            for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
                let parameters = self.parameters(item, method)?;
                let key = parameters
                    .into_iter()
                    .find(|parameter| carries_key(parameter));
                if let Some(key) = key {
                    documented.push(self.documented(path, method, key)?);
                }
            }
        }
        Ok(documented)
    }

    /// The parameters of an operation: its own, and those of its path that it does not replace.
    pub(super) fn parameters<'a>(
        &'a self,
        item: &'a Value,
        method: &str,
    ) -> Result<Vec<&'a Value>, InvalidDescription> {
        let own = item.get(method).into_iter();
        let own = own.flat_map(|operation| Self::elements(operation, "parameters"));
        let mut parameters: Vec<&Value> = Vec::new();
        for parameter in own.chain(Self::elements(item, "parameters")) {
            let parameter = self.resolved(parameter)?;
            let known = |other: &&Value| {
                other.get("name") == parameter.get("name") && other.get("in") == parameter.get("in")
            };
            if !parameters.iter().any(known) {
                parameters.push(parameter);
            }
        }
        Ok(parameters)
    }

    fn documented(
        &self,
        path: &str,
        method: &str,
        key: &Value,
    ) -> Result<DocumentedOperation, InvalidDescription> {
        let schema = self.resolved(key.get("schema").unwrap_or(&Value::Null))?;
        let method = method.to_ascii_uppercase();
        Ok(DocumentedOperation {
            name: format!("{method} {path}"),
            policy: policy(key, schema),
            method,
            path: path.to_owned(),
        })
    }
}

fn policy(key: &Value, schema: &Value) -> Policy {
    let required = key.get("required") == Some(&Value::Bool(true));
    Policy {
        key: Some(if required {
            KeyPolicy::Required
        } else {
            KeyPolicy::Optional
        }),
        key_header: vec![text(key, "name").to_owned()],
        key_length_max: size(schema, "maxLength"),
        key_format: schema
            .get("format")
            .and_then(Value::as_str)
            .map(str::to_owned),
        ..Policy::default()
    }
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a parameter is the header of a key, under the names that are in use.
pub(super) fn carries_key(parameter: &Value) -> bool {
    let name = text(parameter, "name");
    text(parameter, "in") == "header"
        && KEY_HEADERS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

/// Methods that change something.
const METHODS: &[&str] = &["post", "put", "patch", "delete"];
/// Names of the header, as vendors document them.
const KEY_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "X-Idempotency-Key",
    "Idempotence-Key",
    "PayPal-Request-Id",
];
