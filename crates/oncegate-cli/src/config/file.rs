//! The TOML file, taken apart into settings with their places.
//!
//! Promises: every name in it is a setting that may stand there, or a finding. Deliberately
//! absent: what the values mean.

use std::ops::Range;
use std::sync::Arc;

use miette::NamedSource;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Finding, Origin};
use super::refusal::{did_you_mean, nearest};
use super::setting::{Given, Place};
use super::settings::{find, settings, settings_at};
use super::value::Value;

/// What a file gives.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    /// From above the first table, then from `[defaults]`.
    pub(super) given: Vec<Given>,
    pub(super) routes: Vec<RouteTable>,
}

/// One `[[route]]`.
#[derive(Debug)]
pub(super) struct RouteTable {
    pub(super) origin: Origin,
    pub(super) given: Vec<Given>,
}

impl RouteTable {
    /// Where it says what it is for, or else where it begins.
    pub(super) fn best_origin(&self) -> &Origin {
        let matched = self.given.iter().find(|it| it.setting.name == "match");
        matched.map_or(&self.origin, |it| &it.origin)
    }

    /// File and line of that.
    pub(super) fn place(&self) -> &str {
        &self.best_origin().place
    }
}

impl FileSettings {
    /// Reads a file. If it is no TOML, what is wrong there is all that is reported.
    pub(super) fn read(name: &str, text: String, findings: &mut Vec<Finding>) -> Self {
        let source = Arc::new(NamedSource::new(name, text).with_language("TOML"));
        let (document, errors) = DeTable::parse_recoverable(source.inner());
        if errors.is_empty() {
            let mut reader = Reader {
                source: &source,
                findings,
                file: Self::default(),
            };
            reader.document(document.get_ref());
            return reader.file;
        }
        findings.extend(errors.iter().map(|error| {
            let message = format!("this is not TOML: {}", error.message());
            Finding::new(message).at(&Origin::in_file(&source, error.span().unwrap_or_default()))
        }));
        Self::default()
    }
}

/// A name that no setting of that place has: what it may have been.
pub(super) fn unknown(name: &str, place: Place) -> Finding {
    if let Some(setting) = find(name) {
        return Finding::new(format!("`{name}` cannot stand {}", place.name()))
            .with_help(&format!("it stands {}", setting.place.name()));
    }
    if is_planned(name) {
        return Finding::new(format!("`{name}` is not supported yet"));
    }
    let here = did_you_mean(name, settings_at(place).map(|setting| setting.name));
    let elsewhere = nearest(name, settings().map(|setting| setting.name)).and_then(find);
    let help = match (here, elsewhere) {
        (here, _) if !here.is_empty() => here,
        (_, Some(setting)) => {
            format!(
                "did you mean `{}`? It stands {}",
                setting.name,
                setting.place.name()
            )
        }
        (_, None) => "docs/configuration.md lists all settings".to_owned(),
    };
    Finding::new(format!("unknown setting `{name}` {}", place.name())).with_help(&help)
}

fn is_planned(name: &str) -> bool {
    PLANNED.contains(&name)
        || PLANNED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

struct Reader<'r> {
    source: &'r Arc<NamedSource<String>>,
    findings: &'r mut Vec<Finding>,
    file: FileSettings,
}

type Member<'m, 'i> = (&'m Spanned<DeString<'i>>, &'m Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for member in document {
            match member.0.get_ref().as_ref() {
                "defaults" => self.defaults(member.1),
                "route" => self.routes(member.1),
                _ => {
                    let given = self.setting(member, Place::Top);
                    self.file.given.extend(given);
                }
            }
        }
    }

    fn defaults(&mut self, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            let finding = Finding::new("`defaults` has to be a table".to_owned());
            return self.report(finding.with_help("write `[defaults]`"), value.span());
        };
        let given = self.settings(table, Place::Defaults);
        self.file.given.extend(given);
    }

    fn routes(&mut self, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(routes) = value.get_ref() else {
            let finding = Finding::new("there can be several routes".to_owned());
            return self.report(finding.with_help("write `[[route]]`"), value.span());
        };
        for route in routes {
            let DeValue::Table(table) = route.get_ref() else {
                let finding = Finding::new("a route has to be a table".to_owned());
                self.report(finding.with_help("write `[[route]]`"), route.span());
                continue;
            };
            let origin = Origin::in_file(self.source, route.span());
            let given = self.settings(table, Place::Route);
            self.file.routes.push(RouteTable { origin, given });
        }
    }

    fn settings(&mut self, table: &DeTable<'_>, place: Place) -> Vec<Given> {
        table
            .iter()
            .filter_map(|member| self.setting(member, place))
            .collect()
    }

    fn setting(&mut self, (name, value): Member<'_, '_>, place: Place) -> Option<Given> {
        let known = settings_at(place).find(|setting| setting.name == name.get_ref().as_ref());
        let Some(setting) = known else {
            self.report(unknown(name.get_ref(), place), name.span());
            return None;
        };
        let origin = Origin::in_file(self.source, name.span().start..value.span().end);
        Some(Given {
            setting,
            value: Value::from_toml(value.get_ref()),
            origin,
        })
    }

    fn report(&mut self, finding: Finding, span: Range<usize>) {
        self.findings
            .push(finding.at(&Origin::in_file(self.source, span)));
    }
}

/// Settings that are to come: whoever writes them down must not believe that they work.
const PLANNED: [&str; 1] = ["shadow"];
const PLANNED_PREFIXES: [&str; 2] = ["tls_client_", "upstream_tls_"];
