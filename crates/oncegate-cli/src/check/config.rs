//! `check.toml`: several operations of one API, their forms, and whose credentials are used.
//!
//! Promises: a name that is not known is an error with its line and the nearest name, and so is whatever has no
//! meaning. `${NAME}` in header lines and in `server` is the environment's variable, so that no secret has to stand
//! in the file; one that is not set is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;
use oncegate_check::case::Variant;
use oncegate_check::dialect::Dialect;
use oncegate_check::operation::{Count, Form, Operation, Probe};
use oncegate_check::wire::Peer;
use serde::Deserialize;
use toml::Spanned;

use super::fields::{self, Field};
use super::plan::{self, Source, replace};
use crate::command::Failed;
use crate::config::{ConfigError, Finding, Origin, did_you_mean};

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    text: Arc<NamedSource<String>>,
    folder: PathBuf,
    tables: Tables,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    server: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    #[serde(default)]
    other_headers: Vec<Spanned<String>>,
    chaos: Option<String>,
    effects: Option<Spanned<String>>,
    effects_count: Option<Spanned<String>>,
    #[serde(default)]
    operation: Vec<OperationTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationTable {
    name: Option<String>,
    request: Spanned<String>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    body: Option<String>,
    body_file: Option<Spanned<PathBuf>>,
    other_body: Option<String>,
    key: Option<Key>,
    effects: Option<Spanned<String>>,
    effects_count: Option<Spanned<String>>,
    #[serde(default)]
    form: BTreeMap<Spanned<String>, FormTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormTable {
    request: Option<Spanned<String>>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    body: Option<String>,
    body_file: Option<Spanned<PathBuf>>,
}

/// Whether requests without a key are refused.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Key {
    Required,
    Optional,
}

impl File {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failed> {
        let bytes = fields::read(path).map_err(Failed::usage)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failed::usage(format!("{}: it is not UTF-8", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self::parse(&path.display().to_string(), text, folder)?)
    }

    fn parse(name: &str, text: String, folder: PathBuf) -> Result<Self, ConfigError> {
        let text = Arc::new(NamedSource::new(name, text).with_language("TOML"));
        match toml::from_str(text.inner()) {
            Ok(tables) => Ok(Self {
                text,
                folder,
                tables,
            }),
            Err(error) => {
                let finding = Finding::new(error.message().to_owned())
                    .with_help(&nearest_field(error.message()))
                    .at(&Origin::in_file(&text, error.span().unwrap_or_default()));
                Err(ConfigError::from(finding))
            }
        }
    }

    /// The operations, at that server if there is one, else at the file's own.
    pub(super) fn source(&self, server: Option<&str>) -> Result<Source, ConfigError> {
        let profile = self.tables.profile.as_ref();
        Ok(Source {
            operations: self.operations(server)?,
            profile: profile.map(|name| self.profile(name)).transpose()?,
        })
    }

    fn profile(&self, name: &Spanned<String>) -> Result<&'static Dialect, ConfigError> {
        Dialect::named(name.get_ref()).ok_or_else(|| {
            let names = Dialect::all().iter();
            let names: Vec<&str> = names.map(|dialect| dialect.name).collect();
            let help = format!("there are {}", names.join(", "));
            self.error(name, "there is no such profile", &help)
        })
    }

    fn operations(&self, server: Option<&str>) -> Result<Vec<Operation>, ConfigError> {
        if self.tables.operation.is_empty() {
            let finding = Finding::new("there is no operation in it".to_owned());
            let start = Origin::in_file(&self.text, 0..0);
            return Err(finding.with_help("write `[[operation]]`").at(&start).into());
        }
        let peer = self.peer(server)?;
        let tables = self.tables.operation.iter();
        tables.map(|table| self.operation(&peer, table)).collect()
    }

    fn peer(&self, server: Option<&str>) -> Result<Peer, ConfigError> {
        let (url, origin) = match (server, &self.tables.server) {
            (Some(url), _) => (url.to_owned(), None),
            (None, Some(written)) => (self.filled(written)?, Some(written)),
            (None, None) => {
                let finding = Finding::new("nobody says where the API is".to_owned());
                let finding = finding.with_help("write `server = \"http://127.0.0.1:3000\"`");
                return Err(finding.at(&Origin::in_file(&self.text, 0..0)).into());
            }
        };
        let wrong = |problem: &str| match origin {
            Some(written) => self.error(written, problem, ""),
            None => Finding::new(problem.to_owned()).into(),
        };
        let (peer, target) = Peer::of(&url).map_err(|error| wrong(&error.to_string()))?;
        if target == "/" {
            Ok(peer)
        } else {
            Err(wrong(
                "a server is scheme, host and port: paths stand in requests",
            ))
        }
    }

    fn operation(&self, peer: &Peer, table: &OperationTable) -> Result<Operation, ConfigError> {
        let common = self.fields(&self.tables.headers)?;
        let plain = FormTable {
            request: Some(table.request.clone()),
            headers: table.headers.clone(),
            body: table.body.clone(),
            body_file: table.body_file.clone(),
        };
        let nothing = Form {
            method: String::new(),
            target: String::new(),
            fields: common,
            body: Vec::new(),
        };
        let plain = self.form(&plain, &nothing)?;
        let mut operation = Operation::new(peer.clone(), plain);
        if let Some(name) = &table.name {
            operation.name.clone_from(name);
        }
        for (name, form) in &table.form {
            let form = self.form(form, operation.plain())?;
            operation.forms.insert(self.variant(name)?, form);
        }
        let other = self.fields(&self.tables.other_headers)?;
        operation.second = (!other.is_empty()).then_some(other);
        operation.other_body = table.other_body.clone().map(String::into_bytes);
        operation.key_required = table.key.map(|key| key == Key::Required);
        operation.chaos = self.tables.chaos.as_deref().map(plan::shell);
        operation.probe = self.probe(table)?;
        Ok(operation)
    }

    /// What is not said of a form is as in the plain one.
    fn form(&self, table: &FormTable, plain: &Form) -> Result<Form, ConfigError> {
        let mut form = plain.clone();
        if let Some(written) = &table.request {
            let (method, target, body) = fields::request(written.get_ref())
                .map_err(|problem| self.error(written, &problem, ""))?;
            if body.is_some() {
                return Err(self.error(written, "a body stands in `body`", ""));
            }
            (form.method, form.target) = (method, target);
        }
        replace(&mut form.fields, &self.fields(&table.headers)?);
        if let Some(body) = &table.body {
            form.body = body.clone().into_bytes();
        }
        if let Some(file) = &table.body_file {
            let path = self.folder.join(file.get_ref());
            form.body = fields::read(&path).map_err(|problem| self.error(file, &problem, ""))?;
        }
        Ok(form)
    }

    fn variant(&self, name: &Spanned<String>) -> Result<Variant, ConfigError> {
        fields::variant(name.get_ref()).ok_or_else(|| {
            let help = did_you_mean(name.get_ref(), fields::forms().map(Variant::name));
            self.error(name, "no case knows a form of this name", &help)
        })
    }

    fn probe(&self, table: &OperationTable) -> Result<Option<Probe>, ConfigError> {
        let effects = table.effects.as_ref().or(self.tables.effects.as_ref());
        let count = table
            .effects_count
            .as_ref()
            .or(self.tables.effects_count.as_ref());
        let Some(effects) = effects else {
            return match count {
                Some(count) => Err(self.error(count, "there is no `effects` to count in", "")),
                None => Ok(None),
            };
        };
        let target = fields::probe(effects.get_ref())
            .map_err(|problem| self.error(effects, &problem, ""))?;
        let count = match count {
            None => Count::Length(String::new()),
            Some(count) => {
                count
                    .get_ref()
                    .parse()
                    .map_err(|error: oncegate_check::InvalidCount| {
                        self.error(count, &error.to_string(), "")
                    })?
            }
        };
        Ok(Some(Probe { target, count }))
    }

    fn fields(&self, lines: &[Spanned<String>]) -> Result<Vec<Field>, ConfigError> {
        let field = |line: &Spanned<String>| {
            // The error does not show the line: it may hold a secret by now.
            let wrong = |_| self.error(line, "this is no header line: NAME: VALUE", "");
            fields::field(&self.filled(line)?).map_err(wrong)
        };
        lines.iter().map(field).collect()
    }

    /// The text with the environment's variables in place of `${NAME}`.
    fn filled(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        let mut filled = String::new();
        let mut rest = written.get_ref().as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| self.error(written, "`${` is not closed", ""))?;
            let value = std::env::var(name).map_err(|_| {
                let problem = format!("the environment has no variable `{name}`");
                self.error(written, &problem, &format!("export {name}=..."))
            })?;
            filled.push_str(before);
            filled.push_str(&value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn error<T>(&self, place: &Spanned<T>, problem: &str, help: &str) -> ConfigError {
        Finding::new(problem.to_owned())
            .with_help(help)
            .at(&Origin::in_file(&self.text, place.span()))
            .into()
    }
}

/// What a field that is not known may have been: "unknown field `x`, expected one of `a`, `b`".
fn nearest_field(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(unknown) if message.starts_with("unknown field") => did_you_mean(unknown, quoted),
        Some(_) | None => String::new(),
    }
}
