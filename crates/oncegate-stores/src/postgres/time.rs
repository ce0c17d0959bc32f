//! Time between us and the server: its clock, instants and durations as it stores them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::clock::Timestamp;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// What this process knows of the server's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// What tests add to the server's time, in microseconds.
    ahead: Arc<AtomicU64>,
}

impl Clock {
    pub(super) fn ahead(&self) -> Arc<AtomicU64> {
        self.ahead.clone()
    }

    /// What is added to the server's time.
    pub(super) fn added(&self) -> Interval {
        Interval(Duration::from_micros(self.ahead.load(Ordering::Relaxed)))
    }
}

/// A `timestamptz`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Instant(pub(super) Timestamp);

impl<'a> FromSql<'a> for Instant {
    fn from_sql(_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let since_1970 = micros.checked_add(EPOCH_MICROS).map(u64::try_from);
        match since_1970 {
            Some(Ok(micros)) => Ok(Self(Timestamp::from_micros(micros))),
            Some(Err(_)) | None => Err("an instant before 1970 or at the end of time".into()),
        }
    }

    accepts!(TIMESTAMPTZ);
}

/// An `interval` of microseconds alone: no month and no day whose length could vary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interval(pub(super) Duration);

impl ToSql for Interval {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let micros = i64::try_from(self.0.min(FOREVER).as_micros())?;
        out.extend_from_slice(&micros.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        Ok(IsNull::No)
    }

    accepts!(INTERVAL);
    to_sql_checked!();
}

/// From 1970, where our time begins, to 2000, where that of PostgreSQL does.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// "For ever": the sum of three is still an instant that PostgreSQL knows.
const FOREVER: Duration = Duration::from_secs(1_000 * 366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_as_it_was_stored() {
        let read = |micros: i64| Instant::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes());
        assert_eq!(
            read(1).unwrap(),
            Instant(Timestamp::from_micros(946_684_800_000_001))
        );
        assert_eq!(
            read(-EPOCH_MICROS).unwrap(),
            Instant(Timestamp::from_micros(0))
        );
        for none in [i64::MIN, i64::MAX, -EPOCH_MICROS - 1] {
            assert!(read(none).is_err(), "{none}");
        }
    }

    #[test]
    fn for_ever_is_an_interval_that_can_be_added() {
        let mut out = BytesMut::new();
        Interval(Duration::MAX)
            .to_sql(&Type::INTERVAL, &mut out)
            .unwrap();
        assert_eq!(out.len(), 16);
        let micros = i64::from_be_bytes(*out.first_chunk().unwrap());
        // Three of them behind the year 2200 are before 294276, the last year of PostgreSQL.
        assert!(micros > 0 && micros < 290_000 / 3 * 365 * 86_400 * 1_000_000);
    }
}
