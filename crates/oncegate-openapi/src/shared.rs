//! The parts under `components` that operations refer to: each once, however many operations have it.

use crate::contract::{Header, Key, Refusal};
use crate::marks::PREFIX;
use crate::part::Part;

/// Shared parts by section, in the order in which they were needed.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    parts: Vec<(&'static str, String, Part)>,
}

impl Shared {
    /// A reference to this part. Another part of the same name gets a number.
    fn refer(&mut self, section: &'static str, name: &str, part: Part) -> Part {
        let mut candidate = format!("{PREFIX}{name}");
        for number in 2.. {
            let known = self.parts.iter().find(|(known_section, known_name, _)| {
                *known_section == section && *known_name == candidate
            });
            match known {
                Some((_, _, known)) if *known == part => break,
                Some(_) => candidate = format!("{PREFIX}{name}-{number}"),
                None => {
                    self.parts.push((section, candidate.clone(), part));
                    break;
                }
            }
        }
        Part::reference(section, &candidate)
    }

    pub(crate) fn key(&mut self, key: &Key) -> Part {
        let name = key.names.first().map(String::as_str).unwrap_or_default();
        let mut part = Part::members([
            ("name", Part::text(name)),
            ("in", Part::text("header")),
            ("required", Part::Flag(key.required)),
        ]);
        if !key.description.is_empty() {
            part.set("description", Part::text(&key.description));
        }
        part.set("schema", key.schema.clone());
        if !key.example.is_empty() {
            part.set("example", Part::text(&key.example));
        }
        if !key.settings.is_empty() {
            part.set(SETTINGS, Part::Members(key.settings.clone()));
        }
        self.refer("parameters", "key", part)
    }

    pub(crate) fn header(&mut self, header: &Header) -> Part {
        let part = Part::members([
            ("description", Part::text(&header.description)),
            ("schema", header.schema.clone()),
            ("example", header.example.clone()),
        ]);
        self.refer("headers", &header.name.to_ascii_lowercase(), part)
    }

    /// How the documents of these refusals look, which have one media type.
    pub(crate) fn media_type(&mut self, refusals: &[&Refusal]) -> Part {
        let schema = refusals.first().map(|refusal| {
            let schema = refusal.schema.clone();
            self.refer("schemas", &refusal.schema_name, schema)
        });
        let mut part = Part::members([("schema", schema.unwrap_or(Part::Null))]);
        part.set("examples", self.examples(refusals));
        part
    }

    pub(crate) fn examples(&mut self, refusals: &[&Refusal]) -> Part {
        let mut examples = Part::Members(Vec::new());
        for refusal in refusals {
            let part = Part::members([
                ("summary", Part::text(&refusal.title)),
                ("value", refusal.example.clone()),
            ]);
            let reference = self.refer("examples", &refusal.slug, part);
            examples.set(&refusal.slug, reference);
        }
        examples
    }

    /// All answers of one status.
    pub(crate) fn response(&mut self, status: u16, refusals: &[&Refusal], headers: Part) -> Part {
        let titles: Vec<String> = refusals
            .iter()
            .map(|refusal| format!("{} (`{}`).", refusal.title, refusal.slug))
            .collect();
        let mut content = Part::Members(Vec::new());
        for (media_type, refusals) in by_media_type(refusals) {
            let part = self.media_type(&refusals);
            content.set(media_type, part);
        }
        let part = Part::members([
            ("description", Part::text(titles.join(" "))),
            ("headers", headers),
            ("content", content),
        ]);
        self.refer("responses", &status.to_string(), part)
    }

    /// Puts all of them into the patch.
    pub(crate) fn into_patch(self, patch: &mut Part) {
        for section in SECTIONS {
            let parts = self.parts.iter().filter(|(known, _, _)| *known == section);
            for (_, name, part) in parts {
                let components = patch.object_at(["components", section]);
                components.set(name, part.clone());
            }
        }
    }
}

/// Refusals by what they are written in, in their order.
pub(crate) fn by_media_type<'r>(refusals: &[&'r Refusal]) -> Vec<(&'r str, Vec<&'r Refusal>)> {
    let mut groups: Vec<(&str, Vec<&Refusal>)> = Vec::new();
    for refusal in refusals {
        match groups
            .iter_mut()
            .find(|(media_type, _)| *media_type == refusal.media_type)
        {
            Some((_, group)) => group.push(refusal),
            None => groups.push((&refusal.media_type, vec![refusal])),
        }
    }
    groups
}

/// The member of our parameters that has the settings behind them.
pub(crate) const SETTINGS: &str = "x-oncegate-settings";
const SECTIONS: [&str; 5] = ["parameters", "headers", "responses", "schemas", "examples"];
