//! Operations that document a key, and what they say of it.

use serde_json::Value;

use super::description::{Description, InvalidDescription};

/// An operation that documents a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Method and path as the description has them: `POST /payments/{id}/capture`.
    pub name: String,
    /// The name of the header that carries the key.
    pub key_header: String,
    /// Whether a request without a key is refused.
    pub key_required: bool,
    /// The longest key in bytes.
    pub key_length_max: Option<usize>,
    /// The form of keys, such as `uuid`.
    pub key_format: Option<String>,
    pub(super) method: String,
    pub(super) path: String,
}

impl Description {
    /// The operations that document a key, in the order of the description.
    ///
    /// # Errors
    /// If a reference leads nowhere.
    pub fn operations(&self) -> Result<Vec<Documented>, InvalidDescription> {
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
    ) -> Result<Documented, InvalidDescription> {
        let schema = self.resolved(key.get("schema").unwrap_or(&Value::Null))?;
        let method = method.to_ascii_uppercase();
        Ok(Documented {
            name: format!("{method} {path}"),
            key_header: text(key, "name").to_owned(),
            key_required: key.get("required") == Some(&Value::Bool(true)),
            key_length_max: schema
                .get("maxLength")
                .and_then(Value::as_u64)
                .and_then(|length| usize::try_from(length).ok()),
            key_format: schema
                .get("format")
                .and_then(Value::as_str)
                .map(str::to_owned),
            method,
            path: path.to_owned(),
        })
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
