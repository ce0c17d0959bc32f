//! Reads the files that a configuration names: they are small, and one that is not is a mistake.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// All of a file that has at most `mebibytes_max`.
pub(super) fn read(path: &Path, mebibytes_max: u64) -> io::Result<Vec<u8>> {
    let bytes_max = mebibytes_max * 1024 * 1024;
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let why = format!("it is larger than {mebibytes_max} MiB");
        return Err(io::Error::other(why));
    }
    Ok(bytes)
}
