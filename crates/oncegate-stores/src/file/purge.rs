//! One bounded step of a purge: strip what has expired, remove what is purgeable, give pages back.
//!
//! A cursor goes round over the rows. Each step is bounded in rows, bytes and pages, because it
//! runs in the same transaction as the claims that wait. Expiry is judged by stored times, here as
//! everywhere (M-42).

use oncegate::clock::Timestamp;
use oncegate::record::{Phase, Record, RecordState};
use oncegate::store::Purged;

use super::ledger::{FIRST, Found, Ledger};
use super::rows::{self, Scanned};

/// What one step found.
struct Judged {
    fates: Vec<(Found, Fate)>,
    scanned: Scanned,
}

/// What is to be done with one record.
#[derive(Clone, Copy)]
enum Fate {
    Strip,
    Remove,
}

impl Ledger {
    /// Looks at no more than `limit` records. [`Purged::finished`] says that a round is over: all
    /// rows were looked at, and no more pages need to be given back.
    pub(super) fn purge(&mut self, limit: usize, now: Timestamp) -> rusqlite::Result<Purged> {
        let Judged { fates, scanned } = self.judge(limit.clamp(1, STEP_ROWS_MAX), now)?;
        let mut purged = Purged::default();
        for (found, fate) in fates {
            match fate {
                Fate::Strip => {
                    self.strip(found)?;
                    purged.stripped += 1;
                }
                Fate::Remove => {
                    self.remove(&found)?;
                    purged.removed += 1;
                }
            }
        }
        self.purge_took |= purged.stripped + purged.removed > 0;
        // At the end the cursor stays behind the last row until the pages are given back.
        let pages_left = self.give_back_pages()?;
        purged.finished = scanned.finished && !pages_left;
        self.move_purge(if purged.finished { FIRST } else { scanned.last });
        Ok(purged)
    }

    /// Judges the next rows, until their responses are more than a step may take.
    fn judge(&self, limit: usize, now: Timestamp) -> rusqlite::Result<Judged> {
        let (mut fates, mut bytes) = (Vec::new(), 0);
        let connection = &self.connection;
        let scanned = rows::scan(connection, self.purge_after, limit, |row, record| {
            match record {
                Ok(record) => {
                    if let Some(fate) = fate(&record, now) {
                        bytes += rows::response_bytes(connection, row)?;
                        fates.push((Found { row, record }, fate));
                    }
                }
                Err(error) => tracing::warn!(%error, "purge leaves a row alone"),
            }
            Ok(bytes < STEP_BYTES_MAX)
        })?;
        Ok(Judged { fates, scanned })
    }

    /// Shortens the file by some pages if many are unused. Some are left: the next records will
    /// want them.
    fn give_back_pages(&mut self) -> rusqlite::Result<bool> {
        let number = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        let (unused, pages) = (number("freelist_count")?, number("page_count")?);
        let spare = (pages / SPARE_PART).max(SPARE_PAGES_MIN);
        if unused <= spare {
            return Ok(false);
        }
        self.begin()?;
        let give = STEP_PAGES_MAX.min(unused - spare);
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({give})"))?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        self.purge_took = true;
        Ok(unused - give > spare)
    }
}

fn fate(record: &Record, now: Timestamp) -> Option<Fate> {
    if record.is_purgeable(now) {
        return Some(Fate::Remove);
    }
    let expired = record.phase(now) == Phase::Expired && record.state != RecordState::Expired;
    expired.then_some(Fate::Strip)
}

/// Records that one step looks at, however many are asked for: about 2 ms.
const STEP_ROWS_MAX: usize = 1_000;

/// Bytes of responses after which a step takes no more: each is overwritten with zeros.
const STEP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Pages that one step gives back: 4 MiB.
const STEP_PAGES_MAX: i64 = 512;

/// One page in so many may stay unused,
const SPARE_PART: i64 = 8;

/// or so many, 2 MiB, if that is more.
const SPARE_PAGES_MIN: i64 = 256;
