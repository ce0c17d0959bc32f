//! A journal in a folder of its own, a hand on its clock, and a client that sends to a script.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oncegate::clock::{ManualClock, Timestamp};
use oncegate_client::journal::{
    Concluded, Entry, Journal, JournalOptions, JournaledClient, Listed, OperationName,
};
use oncegate_client::{Client, Operation, Outcome, Transport, Yes};
use tempfile::TempDir;

use crate::scripted::{Line, Script};

pub(super) const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A place for one journal.
pub(super) struct Place {
    pub(super) clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(ManualClock::at(START)),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    pub(super) fn options(&self) -> JournalOptions {
        let mut options = JournalOptions::default();
        options.clock = Some(self.clock.clone());
        options
    }

    pub(super) fn open(&self) -> Journal {
        Journal::open_with(self.path(), self.options()).unwrap()
    }

    /// A client with this journal, that gets what the script says.
    pub(super) fn client(
        &self,
        lines: impl IntoIterator<Item = Line>,
    ) -> (JournaledClient, Script) {
        let script = Script::of(lines);
        (client(self.open(), script.clone()), script)
    }

    /// A connection behind the journal's back.
    pub(super) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// The bytes of the file and of its log.
    pub(super) fn on_disk(&self) -> Vec<u8> {
        let mut bytes = std::fs::read(self.path()).unwrap();
        let log = self.folder.path().join("journal-wal");
        bytes.extend(std::fs::read(log).unwrap_or_default());
        bytes
    }

    /// The names of all files in the folder.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

pub(super) fn client(journal: Journal, transport: impl Transport + 'static) -> JournaledClient {
    let client = Client::builder().transport(Arc::new(transport));
    client.build().unwrap().journaled(journal)
}

pub(super) fn name(name: &str) -> OperationName {
    OperationName::new(name).unwrap()
}

/// A payment of so much, under a key of its own.
pub(super) fn payment(amount: u32) -> Operation {
    Operation::post("http://127.0.0.1/payments")
        .unwrap()
        .header("content-type", "application/json")
        .unwrap()
        .body(format!(r#"{{"amount":{amount}}}"#))
        .build()
}

pub(super) fn yes(concluded: Concluded) -> Yes {
    assert!(concluded.unrecorded.is_none(), "{concluded:?}");
    match concluded.outcome {
        Outcome::Yes(yes) => yes,
        other @ (Outcome::No(_) | Outcome::Unknown(_)) => panic!("{other:?}"),
    }
}

/// What the journal lists, all of it sound.
pub(super) async fn entries(journal: &Journal) -> Vec<Entry> {
    let listed = journal.list().await.unwrap();
    listed
        .into_iter()
        .map(|listed| match listed {
            Listed::Sound(entry) => *entry,
            Listed::Damaged { what } => panic!("{what}"),
        })
        .collect()
}

pub(super) fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
