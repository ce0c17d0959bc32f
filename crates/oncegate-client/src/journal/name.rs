//! The caller's own name of an operation: `invoice-42`. It finds the operation again, whatever key it was given.

use std::fmt;
use std::sync::Arc;

/// The caller's own name of an operation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct OperationName(Arc<str>);

/// Why something cannot name an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "there is no third fault")]
pub enum NameError {
    /// It is empty, or longer than a name may be.
    #[error("an operation's name has from 1 to {NAME_BYTES_MAX} bytes")]
    Length,
    /// It holds a control character, which would garble a listing.
    #[error("an operation's name holds no control characters")]
    Control,
}

impl OperationName {
    /// The name, if it can be one.
    ///
    /// # Errors
    /// If it is empty, too long, or holds control characters.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(NameError::Length);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(Self(name.into()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_can_be_printed() {
        assert!(OperationName::new("invoice-42").is_ok());
        assert!(OperationName::new(&"x".repeat(NAME_BYTES_MAX)).is_ok());
        assert_eq!(OperationName::new(""), Err(NameError::Length));
        assert_eq!(
            OperationName::new(&"x".repeat(NAME_BYTES_MAX + 1)),
            Err(NameError::Length)
        );
        assert_eq!(OperationName::new("a\x1b[2Jb"), Err(NameError::Control));
    }
}
