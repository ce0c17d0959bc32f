//! A value that a schema permits: as small as may be, the same each time, with what is required and nothing else.

use serde_json::{Map, Value};

use super::description::{Description, InvalidDescription, reference};
use super::text;

impl Description {
    /// A value of a schema.
    pub(super) fn sample(&self, schema: &Value) -> Result<Value, InvalidDescription> {
        let sampler = Sampler {
            description: self,
            within: Vec::new(),
        };
        // Only a schema that requires itself for ever has none, and no request could satisfy it.
        Ok(sampler.value(schema)?.unwrap_or(Value::Null))
    }
}

/// Where in a schema a value is made: the references that led there.
#[derive(Clone)]
struct Sampler<'a> {
    description: &'a Description,
    within: Vec<String>,
}

type Sampled = Result<Option<Value>, InvalidDescription>;

impl Sampler<'_> {
    /// `None`: the schema leads back to itself.
    fn value(&self, schema: &Value) -> Sampled {
        if let Some(reference) = reference(schema) {
            return match self.deeper(reference) {
                Some(deeper) => deeper.value(self.description.referred(reference)?),
                None => Ok(None),
            };
        }
        if let Some(value) = given(schema) {
            return Ok(Some(value));
        }
        if schema.get("allOf").is_some() {
            let mut deeper = self.clone();
            return match deeper.all_of(schema)? {
                Some(whole) => deeper.value(&Value::Object(whole)),
                None => Ok(None),
            };
        }
        for choice in ["oneOf", "anyOf"] {
            if schema.get(choice).is_some() {
                return self.one_of(schema, choice);
            }
        }
        self.of_type(schema)
    }

    /// Behind that reference, unless that is where it came from.
    fn deeper(&self, reference: &str) -> Option<Self> {
        let known = self.within.iter().any(|known| known == reference);
        let mut deeper = self.clone();
        deeper.within.push(reference.to_owned());
        (!known && deeper.within.len() <= DEPTH_MAX).then_some(deeper)
    }

    fn of_type(&self, schema: &Value) -> Sampled {
        Ok(Some(match kind(schema) {
            "object" => return self.object(schema),
            "array" => return self.array(schema),
            "integer" => number(schema, true),
            "number" => number(schema, false),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(text::sample(schema)),
        }))
    }

    fn object(&self, schema: &Value) -> Sampled {
        let mut object = Map::new();
        for name in Description::elements(schema, "required").filter_map(Value::as_str) {
            let Some(member) = schema
                .get("properties")
                .and_then(|members| members.get(name))
            else {
                object.insert(name.to_owned(), Value::from(text::WORD));
                continue;
            };
            // What only answers have is not sent, required or not.
            if member.get("readOnly") == Some(&Value::Bool(true)) {
                continue;
            }
            match self.value(member)? {
                Some(value) => drop(object.insert(name.to_owned(), value)),
                None => return Ok(None),
            }
        }
        let wanted = size(schema, "minProperties").unwrap_or(0).min(ITEMS_MAX);
        for number in object.len()..wanted {
            let member = schema.get("additionalProperties");
            let value = member
                .map(|member| self.value(member))
                .transpose()?
                .flatten();
            let name = format!("{}{number}", text::WORD);
            object.insert(name, value.unwrap_or_else(|| Value::from(text::WORD)));
        }
        Ok(Some(Value::Object(object)))
    }

    /// As many elements as there must be, and one where none would do, unless that leads back.
    fn array(&self, schema: &Value) -> Sampled {
        let least = size(schema, "minItems").unwrap_or(0);
        let Some(items) = schema.get("items") else {
            return Ok(Some(Value::Array(Vec::new())));
        };
        match self.value(items)? {
            Some(item) => {
                let most = size(schema, "maxItems").unwrap_or(ITEMS_MAX);
                let count = least.max(1).min(most).min(ITEMS_MAX);
                Ok(Some(Value::Array(vec![item; count])))
            }
            None if least == 0 => Ok(Some(Value::Array(Vec::new()))),
            None => Ok(None),
        }
    }

    /// One schema that says what all parts say, and what stands beside `allOf`: a part may be a mere description, or
    /// bound what another one names.
    fn all_of(&mut self, schema: &Value) -> Result<Option<Map<String, Value>>, InvalidDescription> {
        let mut whole = schema.as_object().cloned().unwrap_or_default();
        whole.remove("allOf");
        for part in Description::elements(schema, "allOf") {
            let part = match reference(part) {
                None => part,
                Some(reference) => {
                    let Some(deeper) = self.deeper(reference) else {
                        return Ok(None);
                    };
                    *self = deeper;
                    self.description.referred(reference)?
                }
            };
            let Some(part) = self.all_of(part)? else {
                return Ok(None);
            };
            part.into_iter()
                .for_each(|(name, value)| join(&mut whole, name, value));
        }
        Ok(Some(whole))
    }

    /// The first choice that comes to an end, with the members that all choices have.
    fn one_of(&self, schema: &Value, choice: &str) -> Sampled {
        for option in Description::elements(schema, choice) {
            if kind(option) == "null" {
                continue;
            }
            let Some(mut value) = self.value(option)? else {
                continue;
            };
            if let (Value::Object(members), true) = (&mut value, schema.get("properties").is_some())
            {
                let Some(Value::Object(common)) = self.object(schema)? else {
                    return Ok(None);
                };
                members.extend(common);
            }
            discriminate(schema, option, &mut value);
            return Ok(Some(value));
        }
        Ok(None)
    }
}

/// Members and required names add up; of everything else what is nearer counts.
fn join(whole: &mut Map<String, Value>, name: String, value: Value) {
    match (whole.get_mut(&name), value) {
        (Some(Value::Object(known)), Value::Object(more)) if name == "properties" => {
            known.extend(more);
        }
        (Some(Value::Array(known)), Value::Array(more)) if name == "required" => known.extend(more),
        (Some(_), _) => {}
        (None, value) => drop(whole.insert(name, value)),
    }
}

/// Writes down which choice it is.
fn discriminate(schema: &Value, option: &Value, value: &mut Value) {
    let discriminator = schema.get("discriminator");
    let name = discriminator.and_then(|discriminator| discriminator.get("propertyName")?.as_str());
    let (Some(name), Some(reference), Some(members)) =
        (name, reference(option), value.as_object_mut())
    else {
        return;
    };
    let mapping = discriminator.and_then(|discriminator| discriminator.get("mapping")?.as_object());
    let mapped =
        mapping.and_then(|mapping| mapping.iter().find(|(_, target)| *target == reference));
    let chosen = match mapped {
        Some((chosen, _)) => chosen.as_str(),
        None => reference.rsplit('/').next().unwrap_or_default(),
    };
    members.insert(name.to_owned(), Value::from(chosen));
}

/// A value that the schema itself names.
fn given(schema: &Value) -> Option<Value> {
    let first = |name: &str| schema.get(name)?.as_array()?.first();
    let known = ["example", "const", "default"]
        .iter()
        .find_map(|name| schema.get(*name));
    let known = known.filter(|value| !value.is_null());
    known
        .or_else(|| first("examples"))
        .or_else(|| first("enum"))
        .cloned()
}

/// The type, or what the schema speaks of where it names none.
fn kind(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        Some(kind) => kind.as_str(),
        None => None,
    };
    let implied = || {
        let members = [
            ("properties", "object"),
            ("required", "object"),
            ("items", "array"),
        ];
        let mut members = members.into_iter();
        members.find_map(|(member, kind)| schema.get(member).map(|_| kind))
    };
    named.or_else(implied).unwrap_or("string")
}

/// The smallest number from 1 on that is permitted; if there is none, the largest below.
fn number(schema: &Value, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let unit = step.unwrap_or(if whole { 1.0 } else { 0.01 });
    // 3.0 says by a bool that the bound itself is out; 3.1 has a bound of its own for that.
    let excluded = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    let least = [
        bound("minimum").map(|least| {
            least
                + if excluded("exclusiveMinimum") {
                    unit
                } else {
                    0.0
                }
        }),
        bound("exclusiveMinimum").map(|least| least + unit),
    ];
    let most = [
        bound("maximum").map(|most| {
            most - if excluded("exclusiveMaximum") {
                unit
            } else {
                0.0
            }
        }),
        bound("exclusiveMaximum").map(|most| most - unit),
    ];
    let least = least.into_iter().flatten().fold(1.0, f64::max);
    let most = most.into_iter().flatten().fold(f64::INFINITY, f64::min);
    let number = match step {
        Some(step) => ((least / step).ceil() * step).min((most / step).floor() * step),
        None => least.min(most),
    };
    as_number(number, whole)
}

fn as_number(number: f64, whole: bool) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it was checked to be whole and within range"
    )]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    if whole {
        Value::from(1)
    } else {
        Value::from(number)
    }
}

pub(super) fn size(schema: &Value, name: &str) -> Option<usize> {
    usize::try_from(schema.get(name)?.as_u64()?).ok()
}

/// Deepest chain of references.
const DEPTH_MAX: usize = 64;
/// Most elements of a list.
const ITEMS_MAX: usize = 100;
