//! What is wrong with a configuration, and where it stands.
//!
//! Promises: an error names the place (file and line, variable, or flag), the setting, the value
//! and the fix, and shows the offending line. All errors of one load come together.
//! Deliberately absent: exit codes and printing; those are the caller's.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

/// Why a configuration cannot be used. It holds every error that was found.
#[derive(Clone, Debug)]
pub struct ConfigError {
    first: Box<Finding>,
    others: Vec<Finding>,
}

/// One error in a configuration.
#[derive(Clone, Debug)]
pub struct Finding {
    message: String,
    help: Option<String>,
    origin: Option<Origin>,
}

/// Where a setting was given: some text, and a place in it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(super) medium: Medium,
    text: Arc<NamedSource<String>>,
    span: Range<usize>,
    pub(super) place: String,
}

/// How a setting was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Medium {
    File,
    Environment,
    /// `--set NAME=VALUE`.
    Set,
    /// A flag of its own, such as `--store`.
    Flag,
}

impl ConfigError {
    /// All of these, in the order of the file. None at all is no error.
    pub(super) fn of(mut findings: Vec<Finding>) -> Option<Self> {
        findings.sort_by_key(Finding::position);
        let mut findings = findings.into_iter();
        let first = Box::new(findings.next()?);
        Some(Self {
            first,
            others: findings.collect(),
        })
    }

    /// Every error that was found, at least one.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        std::iter::once(&*self.first).chain(&self.others)
    }

    /// The errors with the lines they are about: in colour and with lines drawn for a terminal,
    /// in plain ASCII for a log or a pipe.
    #[must_use]
    pub fn render(&self, to_terminal: bool) -> String {
        let handler = if to_terminal {
            GraphicalReportHandler::new()
        } else {
            GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_links(false)
        };
        let handler = handler.with_wrap_lines(false);
        let mut out = String::new();
        for finding in self.findings() {
            // A `String` takes all that is written to it; what else fails is told in plain words.
            if handler.render_report(&mut out, finding).is_err() {
                out.push_str(&finding.to_string());
                out.push('\n');
            }
        }
        out
    }
}

impl Finding {
    pub(crate) fn new(message: String) -> Self {
        Self {
            message,
            help: None,
            origin: None,
        }
    }

    /// Says what to do.
    pub(crate) fn with_help(mut self, help: &str) -> Self {
        self.help = (!help.is_empty()).then(|| help.to_owned());
        self
    }

    /// Says where.
    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    /// The file first, from top to bottom; the rest as it was found.
    fn position(&self) -> (bool, usize) {
        match &self.origin {
            Some(Origin {
                medium: Medium::File,
                span,
                ..
            }) => (false, span.start),
            Some(_) | None => (true, 0),
        }
    }
}

impl Origin {
    /// A place in the file.
    pub(crate) fn in_file(text: &Arc<NamedSource<String>>, span: Range<usize>) -> Self {
        let all = text.inner();
        let end = span.end.min(all.len());
        let start = span.start.min(end);
        let line = 1 + all
            .bytes()
            .take(start)
            .filter(|byte| *byte == b'\n')
            .count();
        let place = format!("{}:{line}", text.name());
        Self {
            medium: Medium::File,
            text: Arc::clone(text),
            span: start..end,
            place,
        }
    }

    /// An environment variable.
    pub(super) fn variable(name: &str, value: &str) -> Self {
        Self::given(
            Medium::Environment,
            "environment",
            format!("{name}={value}"),
        )
    }

    /// A flag with its value, such as `--set lease=30s`.
    pub(super) fn flag(medium: Medium, written: String) -> Self {
        Self::given(medium, "command line", written)
    }

    fn given(medium: Medium, place: &str, written: String) -> Self {
        let span = 0..written.len();
        let text = Arc::new(NamedSource::new(place, written));
        Self {
            medium,
            text,
            span,
            place: place.to_owned(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.others.len() {
            0 => write!(f, "{}", self.first),
            1 => write!(f, "{} (and another error)", self.first),
            more => write!(f, "{} (and {more} more errors)", self.first),
        }
    }
}

impl Error for ConfigError {}

impl From<Finding> for ConfigError {
    fn from(finding: Finding) -> Self {
        Self {
            first: Box::new(finding),
            others: Vec::new(),
        }
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.first.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.first.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.others.iter().map(|finding| finding as &dyn Diagnostic),
        ))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{}: {}", origin.place, self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Error for Finding {}

impl Diagnostic for Finding {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let origin = self.origin.as_ref()?;
        Some(&origin.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.origin.as_ref()?.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, span,
        ))))
    }
}
