//! Faults on command: `shim.c` is compiled, preloaded into the proxy, and told through a mapped file what is to go
//! wrong, while the proxy runs.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::Command;

use crate::harness::{Setup, poll_until};

/// What the test holds of one proxy's disk and clock.
pub(crate) struct Faults {
    control: File,
    path: PathBuf,
}

/// What the proxy does when it is struck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Write,
    Sync,
    Read,
    Open,
}

/// What it does it to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Where {
    /// The store's file, without its log.
    File,
    /// The store's write-ahead log.
    Log,
    /// Both of these.
    Store,
    /// A spooled request body.
    Spool,
}

/// What it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// The disk failed.
    Io,
    /// There is no room.
    Full,
    /// No descriptor is left.
    TooMany,
    /// Half of it was written. This is no error.
    Half,
    /// The sync failed, and what it was for is gone from the log.
    Forgotten,
}

impl Faults {
    /// A disk and a clock without a fault, for a proxy with this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("faults");
        fs::write(&path, [0; CONTROL_BYTES]).unwrap();
        let control = OpenOptions::new().read(true).write(true).open(&path);
        Self {
            control: control.unwrap(),
            path,
        }
    }

    /// The proxy of `setup`, on this disk and by this clock.
    pub(crate) fn under(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", library())
            .env("FAULT_CONTROL", &self.path)
    }

    /// The same for any program, which keeps its data in a file of the store's name.
    pub(crate) fn under_command(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAULT_CONTROL", &self.path);
    }

    /// From now on, each time.
    pub(crate) fn strike(&self, operation: Operation, place: Where, what: What) {
        self.arm(operation, place, what, -1);
    }

    /// The next time.
    pub(crate) fn strike_once(&self, operation: Operation, place: Where, what: What) {
        self.arm(operation, place, what, 1);
    }

    fn arm(&self, operation: Operation, place: Where, what: What, times: i64) {
        let fault = fault(operation);
        self.put(fault + TIMES, 0);
        self.put(fault + WHERE, place.bits());
        self.put(fault + WHAT, what.number());
        self.put(fault + STRUCK, 0);
        self.put(fault + TIMES, times);
    }

    /// Nothing fails or hangs any more. The clock stays where it is.
    pub(crate) fn heal(&self) {
        for operation in [
            Operation::Write,
            Operation::Sync,
            Operation::Read,
            Operation::Open,
        ] {
            self.put(fault(operation) + TIMES, 0);
        }
        self.put(HANG, 0);
    }

    /// How often an operation was struck since it was armed.
    pub(crate) fn struck(&self, operation: Operation) -> i64 {
        self.word(fault(operation) + STRUCK)
    }

    /// Syncs of the store hang until [`Faults::heal`].
    pub(crate) fn hang(&self) {
        // One that was killed while it hung is still counted.
        self.put(HANGING, 0);
        self.put(HANG, Where::Store.bits());
    }

    /// Resolves once one hangs.
    pub(crate) async fn hangs(&self) {
        poll_until("a sync that hangs", || async {
            (self.word(HANGING) > 0).then_some(())
        })
        .await;
    }

    /// Sets the wall clock to what it is, and so much.
    pub(crate) fn clock_ahead(&self, by: Duration) {
        self.put(CLOCK_OFFSET, i64::try_from(by.as_secs()).unwrap());
    }

    /// Sets the wall clock to what it is, less so much.
    pub(crate) fn clock_behind(&self, by: Duration) {
        self.put(CLOCK_OFFSET, -i64::try_from(by.as_secs()).unwrap());
    }

    /// Which bytes of the log no sync has covered.
    pub(crate) fn unsynced(&self) -> std::ops::Range<u64> {
        let word = |at| u64::try_from(self.word(at)).unwrap();
        word(UNSYNCED_FROM)..word(UNSYNCED_TO)
    }

    fn word(&self, at: u64) -> i64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, at * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    fn put(&self, at: u64, value: i64) {
        self.control
            .write_all_at(&value.to_ne_bytes(), at * 8)
            .unwrap();
    }
}

impl Where {
    const fn bits(self) -> i64 {
        match self {
            Self::File => 1,
            Self::Log => 2,
            Self::Store => 3,
            Self::Spool => 4,
        }
    }
}

impl What {
    /// Numbers of Linux.
    const fn number(self) -> i64 {
        match self {
            Self::Io => 5,
            Self::Full => 28,
            Self::TooMany => 24,
            Self::Half => -1,
            Self::Forgotten => -2,
        }
    }
}

fn fault(operation: Operation) -> u64 {
    FAULTS + FAULT_WORDS * operation as u64
}

/// The shim, compiled once for each version of it.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).unwrap();
        let made = tempfile::Builder::new()
            .prefix("faults-")
            .tempdir_in(folder)
            .unwrap();
        let source = made.path().join("shim.c");
        fs::write(&source, SOURCE).unwrap();
        let library = made.path().join("shim.so");
        let compiled = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .expect("cc is there; run `make setup`");
        assert!(compiled.status.success(), "{compiled:?}");
        // Another test run may put the same there at the same time: whoever comes last wins.
        let kept = folder.join("faults-shim.so");
        fs::rename(&library, &kept).unwrap();
        kept
    })
}

const SOURCE: &str = include_str!("shim.c");
const CLOCK_OFFSET: u64 = 0;
const HANG: u64 = 1;
const HANGING: u64 = 2;
const UNSYNCED_FROM: u64 = 3;
const UNSYNCED_TO: u64 = 4;
const FAULTS: u64 = 8;
const FAULT_WORDS: u64 = 4;
const WHERE: u64 = 0;
const WHAT: u64 = 1;
const TIMES: u64 = 2;
const STRUCK: u64 = 3;
/// 24 words.
const CONTROL_BYTES: usize = 192;
