//! Where a text goes: to a file whole or not at all, or to standard output; and how it differs from what is there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

use crate::command::Failed;

/// A file, or standard output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Destination {
    File(PathBuf),
    StandardOutput,
}

impl Destination {
    /// What was asked for, `-` being standard output; else `usual`.
    pub(super) fn of(asked: Option<&Path>, usual: Option<&Path>) -> Self {
        match asked.or(usual) {
            Some(path) if path != Path::new("-") => Self::File(path.to_owned()),
            Some(_) | None => Self::StandardOutput,
        }
    }

    /// Writes a text. A file that has it already is not touched.
    ///
    /// # Errors
    /// If it cannot be written; then what was there is there still.
    pub(super) fn write(&self, text: &str) -> Result<(), Failed> {
        match self {
            Self::File(path) => replace(path, text).map_err(|error| {
                Failed::unavailable(format!("cannot write {}", path.display())).because(error)
            }),
            Self::StandardOutput => {
                let mut out = std::io::stdout().lock();
                let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                written
                    .map_err(|error| Failed::unavailable("cannot write the output").because(error))
            }
        }
    }
}

/// Writes beside the file and renames: a reader sees the old text or the new one. Through a symbolic link, the file
/// that it points at is replaced, and the link stays. The file keeps its mode.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = match std::fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let known = std::fs::metadata(&path).ok();
    if known.is_some() && std::fs::read(&path)? == text.as_bytes() {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut beside = tempfile::Builder::new();
    #[cfg(unix)]
    if known.is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        // As any program would make it: the umask takes from this.
        beside.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = beside.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    if let Some(known) = known {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// How two texts differ.
pub(super) struct Difference<'t> {
    input: InternedInput<&'t str>,
    diff: Diff,
}

impl<'t> Difference<'t> {
    pub(super) fn between(before: &'t str, after: &'t str) -> Self {
        let input = InternedInput::new(before, after);
        let mut diff = Diff::compute(Algorithm::Histogram, &input);
        diff.postprocess_lines(&input);
        Self { input, diff }
    }

    /// As `diff -u` has it.
    pub(super) fn unified(&self, name: &str) -> String {
        let printer = BasicLineDiffPrinter(&self.input.interner);
        let config = UnifiedDiffConfig::default();
        let hunks = self.diff.unified_diff(&printer, config, &self.input);
        format!("--- {name}\n+++ {name}\n{hunks}")
    }

    /// The lines of the first text at which they differ, from 1 on.
    pub(super) fn lines(&self) -> Vec<u32> {
        self.diff
            .hunks()
            .map(|hunk| hunk.before.start + 1)
            .collect()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_behind_its_link_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("spec"), folder.path().join("link"));
        std::fs::write(&file, "before").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("spec", &link).unwrap();
        replace(&link, "after").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "after");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_difference_names_the_lines_of_the_first_text() {
        let difference = Difference::between("a\nb\nc\n", "a\nb\nd\nc\n");
        assert_eq!(difference.lines(), [3]);
        assert!(difference.unified("x").contains("\n b\n+d\n c\n"));
        assert_eq!(Difference::between("a\n", "a\n").lines(), [0_u32; 0]);
    }
}
