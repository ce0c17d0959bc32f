//! The secret that keys the hashes, and the file that it is read from.
//!
//! Promises: it shows in no `Debug` output and in no error. Deliberately absent: making one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What keys the hashes; the same on all proxies.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Vec<u8>);

/// A secret as it was read, and whether others could read it as well.
#[derive(Debug)]
pub(super) struct SecretFile {
    pub(super) secret: Secret,
    pub(super) world_readable: bool,
}

/// Why there is no secret in a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it holds {length} bytes, and a secret has at least {least}")]
    TooShort { length: usize, least: usize },
    #[error("it holds more than {BYTES_MAX} bytes, which is no secret")]
    TooLong,
}

impl Secret {
    /// The bytes, to key hashes with.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a file; one line end after the secret is not part of it.
    pub(super) fn read(path: &Path) -> Result<SecretFile, SecretError> {
        Self::read_at_least(BYTES_MIN, path)
    }

    /// The same for a secret of so many bytes.
    pub(super) fn read_at_least(least: usize, path: &Path) -> Result<SecretFile, SecretError> {
        let file = File::open(path).map_err(SecretError::Unreadable)?;
        let world_readable = is_world_readable(&file).map_err(SecretError::Unreadable)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(SecretError::Unreadable)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(SecretError::TooLong);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            bytes.pop_if(|last| *last == b'\r');
        }
        if bytes.len() < least {
            return Err(SecretError::TooShort {
                length: bytes.len(),
                least,
            });
        }
        Ok(SecretFile {
            secret: Self(bytes),
            world_readable,
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(unix)]
pub(super) fn is_world_readable(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
pub(super) fn is_world_readable(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// 128 bits: fewer can be guessed from a stolen store.
const BYTES_MIN: usize = 16;
/// Far more than anyone means; `/dev/zero` must not fill the memory.
const BYTES_MAX: u64 = 64 * 1024;
