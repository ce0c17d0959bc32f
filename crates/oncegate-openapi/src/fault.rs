//! What is wrong with a description, or worth knowing of it: a place, what it is, and what to do.

use std::ops::Range;

/// Something about a place of a description.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Fault {
    /// One clause.
    pub message: String,
    /// What to do about it; empty, if the message says it.
    pub help: String,
    /// The bytes that it is about.
    pub span: Range<usize>,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: String::new(),
            span,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The line of its place in `text`, from 1 on.
    #[must_use]
    pub fn line(&self, text: &str) -> usize {
        line(text, self.span.start)
    }
}

pub(crate) fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}
