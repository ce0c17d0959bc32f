//! Who sends: a lock on a file of one's own beside the journal. It dies with the process, `kill -9` included.
//!
//! All of it happens inside a write transaction of the journal: two processes never look at the same file at once, and
//! nobody meets one that is made but not locked yet. A file that is not there belongs to nobody alive: it is taken away
//! by its owner's end in order, or by whoever found it dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Where the holders of one journal have their files: beside it.
#[derive(Clone, Debug)]
pub(super) struct Holders {
    /// The journal's own path, without links: all processes have to look in the same place.
    journal: PathBuf,
}

/// This opening of the journal, alive for as long as this value.
#[derive(Debug)]
pub(super) struct Holder {
    name: String,
    path: PathBuf,
    /// Its lock ends when it is closed.
    _locked: File,
}

impl Holders {
    pub(super) const fn beside(journal: PathBuf) -> Self {
        Self { journal }
    }

    /// Makes a file of our own and locks it.
    pub(super) fn join(&self) -> io::Result<Holder> {
        let name = Uuid::new_v4().simple().to_string();
        let path = self.path(&name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        file.try_lock()?;
        Ok(Holder {
            name,
            path,
            _locked: file,
        })
    }

    /// Whether that holder lives. The file of a dead one is taken away.
    pub(super) fn is_alive(&self, name: &str) -> io::Result<bool> {
        is_locked(&self.path(name))
    }

    /// Takes away what dead holders have left. What cannot be is met again by the next one.
    pub(super) fn sweep(&self) {
        let Some(directory) = self.journal.parent() else {
            return;
        };
        let prefix = self.path("");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let text = path.as_os_str().as_encoded_bytes();
            if text.starts_with(prefix.as_os_str().as_encoded_bytes())
                && let Err(error) = is_locked(&path)
            {
                tracing::debug!(%error, "a holder's file beside the journal cannot be looked at");
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let mut path = self.journal.clone().into_os_string();
        path.push(".holder-");
        path.push(name);
        path.into()
    }
}

impl Holder {
    /// How rows name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Left where it is it would be found unlocked, and taken away by the next one.
        drop(fs::remove_file(&self.path));
    }
}

fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            drop(fs::remove_file(path));
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_lives_until_its_lock_ends() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let holders = Holders::beside(directory.path().join("journal"));
        let (first, second) = (holders.join()?, holders.join()?);
        holders.sweep();
        assert!(holders.is_alive(first.name())?);
        assert!(holders.is_alive(second.name())?);
        let name = first.name().to_owned();
        drop(first);
        assert!(!holders.is_alive(&name)?);
        assert!(holders.is_alive(second.name())?);
        Ok(())
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let holders = Holders::beside(directory.path().join("journal"));
        let alive = holders.join()?;
        let dead = holders.path("dead");
        let other = directory.path().join("other.holder-dead");
        File::create(&dead)?;
        File::create(&other)?;
        holders.sweep();
        assert!(!dead.exists());
        assert!(other.exists());
        assert!(alive.path.exists());
        Ok(())
    }
}
