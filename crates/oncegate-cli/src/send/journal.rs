//! Where `oncegate send` keeps its journal, and what it asks of it beside sending.

use std::path::{Path, PathBuf};

use oncegate_client::Operation;
use oncegate_client::journal::{Journal, Listed, OperationName, Stands};

use crate::command::Failed;

/// Opens the journal that was named, or the user's own.
pub(super) fn open(named: Option<&Path>) -> Result<Journal, Failed> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => own()?,
    };
    Journal::open(path).map_err(|error| Failed::unavailable("nothing was sent").because(error))
}

/// A key that was given has to be the one that the name has already.
pub(super) async fn agree(
    journal: &Journal,
    name: &OperationName,
    operation: &Operation,
) -> Result<(), Failed> {
    let listed = journal.list().await;
    let listed = listed.map_err(|error| Failed::unavailable("nothing was sent").because(error))?;
    let other = listed.iter().any(|listed| match listed {
        Listed::Sound(entry) => {
            let decided_no = matches!(entry.stands, Stands::No(_));
            entry.name.as_ref() == Some(name) && !decided_no && entry.key != *operation.key()
        }
        Listed::Damaged { .. } => false,
    });
    if other {
        return Err(Failed::usage(format!(
            "nothing was sent: {name} has another key already; leave --key out to go on with that one"
        )));
    }
    Ok(())
}

/// The user's own journal. Its folder is made for the user alone.
fn own() -> Result<PathBuf, Failed> {
    let folder = state_folder()
        .ok_or_else(|| Failed::usage("there is no HOME: name the journal by --journal"))?
        .join("oncegate");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(|error| {
        Failed::unavailable(format!("cannot make {}", folder.display())).because(error)
    })?;
    Ok(folder.join("send.journal"))
}

/// As the XDG Base Directory Specification has it: a relative path is ignored.
fn state_folder() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    path("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(path("HOME")?.join(".local/state")))
}
