//! A request for a documented operation: its path, its required parameters, its body.

use std::collections::BTreeMap;

use serde_json::Value;

use super::description::{Description, InvalidDescription};
use super::documented::{DocumentedOperation, carries_key, text};
use crate::operation::{Form, Operation};
use crate::wire::Peer;

impl Description {
    /// The operation with a request that its documentation permits. `base` goes before its path; `parameters` are
    /// values of path parameters by name, and count for more than examples.
    ///
    /// # Errors
    /// If a parameter or the body is required, and there is neither an example nor a schema from which one can be made.
    pub fn operation(
        &self,
        documented: &DocumentedOperation,
        peer: &Peer,
        base: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Operation, InvalidDescription> {
        let form = self.form(documented, base, parameters)?;
        let mut operation = Operation::new(peer.clone(), form);
        operation.name.clone_from(&documented.name);
        operation.documented = Some(documented.policy.clone());
        Ok(operation)
    }

    fn form(
        &self,
        documented: &DocumentedOperation,
        base: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Form, InvalidDescription> {
        let item = self
            .root
            .get("paths")
            .and_then(|paths| paths.get(&documented.path));
        let item = self.resolved(item.unwrap_or(&Value::Null))?;
        let method = documented.method.to_ascii_lowercase();
        let mut form = Form {
            method: documented.method.clone(),
            target: format!("{}{}", base.trim_end_matches('/'), documented.path),
            fields: Vec::new(),
            body: Vec::new(),
        };
        for parameter in self.parameters(item, &method)? {
            self.add_parameter(&mut form, parameter, given, documented)?;
        }
        if let Some(body) = item
            .get(&method)
            .and_then(|operation| operation.get("requestBody"))
        {
            self.add_body(&mut form, self.resolved(body)?, documented)?;
        }
        Ok(form)
    }

    /// Puts a required parameter where it belongs. What is optional is left out.
    fn add_parameter(
        &self,
        form: &mut Form,
        parameter: &Value,
        given: &BTreeMap<String, String>,
        documented: &DocumentedOperation,
    ) -> Result<(), InvalidDescription> {
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let required = place == "path" || parameter.get("required") == Some(&Value::Bool(true));
        if !required || carries_key(parameter) || place == "cookie" {
            return Ok(());
        }
        let value = match given.get(name).filter(|_| place == "path") {
            Some(value) => value.clone(),
            None => plain(&self.parameter_value(parameter, name, documented)?),
        };
        match place {
            "path" => {
                form.target = form
                    .target
                    .replace(&format!("{{{name}}}"), &percent_encoded(&value));
            }
            "query" => {
                let mark = if form.target.contains('?') { '&' } else { '?' };
                form.target.push(mark);
                form.target
                    .push_str(&format!("{name}={}", percent_encoded(&value)));
            }
            _ => form.fields.push((name.to_owned(), value.into_bytes())),
        }
        Ok(())
    }

    /// The example of a parameter, or a value of its schema. A path parameter names something that exists: only an
    /// example can be believed there.
    fn parameter_value(
        &self,
        parameter: &Value,
        name: &str,
        documented: &DocumentedOperation,
    ) -> Result<Value, InvalidDescription> {
        let schema = parameter.get("schema");
        let example = self
            .example(parameter)?
            .or(schema.and_then(|schema| schema.get("example")).cloned());
        if let Some(example) = example {
            return Ok(example);
        }
        if text(parameter, "in") == "path" {
            let problem = format!(
                "{} needs a value for {{{name}}}: give {name}=.. or an example",
                documented.name
            );
            return Err(self.invalid(&documented.path, &problem));
        }
        match schema {
            Some(schema) => self.sample(schema),
            None => Ok(Value::from(name)),
        }
    }

    fn add_body(
        &self,
        form: &mut Form,
        body: &Value,
        documented: &DocumentedOperation,
    ) -> Result<(), InvalidDescription> {
        let content = || Self::members(body, "content");
        let of = |wanted: fn(&str) -> bool| content().find(|(kind, _)| wanted(kind));
        let Some((kind, media)) = of(is_json).or_else(|| of(is_form)) else {
            if body.get("required") != Some(&Value::Bool(true)) {
                return Ok(());
            }
            let problem = format!("{} takes neither JSON nor a form", documented.name);
            return Err(self.invalid(&documented.path, &problem));
        };
        let value = match (self.example(media)?, media.get("schema")) {
            (Some(example), _) => example,
            (None, Some(schema)) => self.sample(schema)?,
            (None, None) => Value::Object(serde_json::Map::new()),
        };
        form.body = match (&value, is_json(kind)) {
            (Value::String(written), _) if looks_written(written) => written.clone().into_bytes(),
            (_, true) => value.to_string().into_bytes(),
            (_, false) => form_encoded(&value).into_bytes(),
        };
        let field = ("Content-Type".to_owned(), kind.as_bytes().to_vec());
        form.fields.push(field);
        Ok(())
    }

    /// `example`, or the first of `examples`.
    fn example(&self, value: &Value) -> Result<Option<Value>, InvalidDescription> {
        if let Some(example) = value.get("example") {
            return Ok(Some(example.clone()));
        }
        let Some((_, first)) = Self::members(value, "examples").next() else {
            return Ok(None);
        };
        Ok(self.resolved(first)?.get("value").cloned())
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json")
}

fn is_form(kind: &str) -> bool {
    kind.starts_with("application/x-www-form-urlencoded")
}

/// Some write their example as the text of the body instead of as a value.
fn looks_written(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A value as it stands in a path or a header line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            values.join(",")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// `a[b]=c`, as PHP and Stripe have it.
fn form_encoded(value: &Value) -> String {
    let mut pairs = Vec::new();
    flatten(value, String::new(), &mut pairs);
    pairs.join("&")
}

fn flatten(value: &Value, name: String, pairs: &mut Vec<String>) {
    let below = |part: &str| {
        if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}[{part}]")
        }
    };
    match value {
        Value::Object(members) => {
            for (part, value) in members {
                flatten(value, below(&percent_encoded(part)), pairs);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                flatten(value, below(&at.to_string()), pairs);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            pairs.push(format!("{name}={}", percent_encoded(&plain(value))));
        }
    }
}

/// All but what is unreserved; placeholders stay, to be filled in later.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(placeholder) = PLACEHOLDERS
            .iter()
            .find(|placeholder| rest.starts_with(**placeholder))
        {
            encoded.push_str(placeholder);
            rest = &rest[placeholder.len()..];
            continue;
        }
        let width = letter.len_utf8();
        if letter.is_ascii_alphanumeric() || "-._~".contains(letter) {
            encoded.push(letter);
        } else {
            let bytes = rest.as_bytes()[..width].iter();
            encoded.extend(bytes.map(|byte| format!("%{byte:02X}")));
        }
        rest = &rest[width..];
    }
    encoded
}

const PLACEHOLDERS: &[&str] = &["{{uuid}}", "{{n}}"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_brackets_for_what_is_nested() {
        let value = json!({"amount": 5, "card": {"number": "4 2"}, "tags": ["a", "{{uuid}}"], "none": null});
        assert_eq!(
            form_encoded(&value),
            "amount=5&card[number]=4%202&tags[0]=a&tags[1]={{uuid}}"
        );
    }
}
