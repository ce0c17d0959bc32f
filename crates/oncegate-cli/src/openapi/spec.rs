//! The description that was named on the command line: read, and spoken of with its name and lines.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;
use oncegate_openapi::{Description, Fault};

use crate::command::Failed;
use crate::config::{ConfigError, Finding, Origin};

/// A description and where it is from.
#[derive(Debug)]
pub(super) struct Spec {
    /// `None` is standard input.
    pub(super) path: Option<PathBuf>,
    pub(super) text: String,
    pub(super) description: Description,
    source: Arc<NamedSource<String>>,
}

impl Spec {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// If it cannot be read, or is no OpenAPI description.
    pub(super) fn read(path: &Path) -> Result<Self, Failed> {
        let path = (path != Path::new("-")).then(|| path.to_owned());
        let name = match &path {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        };
        let mut bytes = Vec::new();
        let read = match &path {
            Some(path) => std::fs::File::open(path)
                .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)),
            None => std::io::stdin().take(BYTES_MAX + 1).read_to_end(&mut bytes),
        };
        read.map_err(|error| Failed::usage(format!("cannot read {name}")).because(error))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| Failed::usage(format!("{name} is not UTF-8")).because(error))?;
        let source = Arc::new(NamedSource::new(name, text.clone()));
        let description =
            Description::parse(text.clone()).map_err(|fault| failed(&source, &fault))?;
        Ok(Self {
            path,
            text,
            description,
            source,
        })
    }

    /// The error that a fault is.
    pub(super) fn failed(&self, fault: &Fault) -> Failed {
        failed(&self.source, fault)
    }

    /// Prints what is worth knowing, so much of it that it can be read.
    pub(super) fn warn(&self, faults: &[Fault]) {
        for fault in faults.iter().take(WARNINGS_MAX) {
            let line = fault.line(&self.text);
            eprintln!("warning: {}:{line}: {fault}; {}", self.name(), fault.help);
        }
        if let Some(more) = faults.len().checked_sub(WARNINGS_MAX + 1) {
            eprintln!("warning: {}: and {} more like these", self.name(), more + 1);
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        self.source.name()
    }
}

fn failed(source: &Arc<NamedSource<String>>, fault: &Fault) -> Failed {
    let origin = Origin::in_file(source, fault.span.clone());
    let finding = Finding::new(fault.message.clone()).with_help(&fault.help);
    ConfigError::from(finding.at(&origin)).into()
}

/// Largest description.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most warnings of one kind.
const WARNINGS_MAX: usize = 20;
