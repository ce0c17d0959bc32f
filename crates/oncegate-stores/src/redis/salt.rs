//! The salt that the Redis keeps, and whether it is still the one that was told.
//!
//! A Redis that lost its memory has no salt, and the first to notice gives it one: the one that it knows, so that
//! records of proxies that run on can still be compared. Where another was first, no record may be written under the
//! old one: [`confirm`](Salt::confirm) says so until the new one was asked for.

use std::sync::atomic::{AtomicBool, Ordering};

use oncegate::store::{StoreError, StoreErrorKind};
use parking_lot::Mutex;

use super::error::{NAME, damaged, failed};
use super::link::Link;

/// The salt, as this process knows it.
#[derive(Default)]
pub(super) struct Salt {
    known: Mutex<Option<[u8; 32]>>,
    /// The connection broke: behind the new one may be a Redis that was restarted, or another one.
    doubtful: AtomicBool,
}

impl Salt {
    /// The next insert looks whether the salt is still the same.
    pub(super) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Release);
    }

    /// The salt; it is made if there is none.
    pub(super) async fn read(&self, link: &mut Link, key: &str) -> Result<[u8; 32], StoreError> {
        // Before the reading: a doubt that arises meanwhile stays.
        self.doubtful.store(false, Ordering::Release);
        let known = *self.known.lock();
        let ours = match known {
            Some(salt) => salt,
            None => random()?,
        };
        let salt = keep(link, key, ours).await.inspect_err(|_| self.doubt())?;
        *self.known.lock() = Some(salt);
        Ok(salt)
    }

    /// Asks nothing unless there is doubt.
    pub(super) async fn confirm(&self, link: &mut Link, key: &str) -> Result<(), StoreError> {
        if !self.doubtful.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let Some(known) = *self.known.lock() else {
            return Ok(());
        };
        // Should this future be dropped while it looks, the doubt comes back.
        let mut looking = Doubt(Some(self));
        if keep(link, key, known).await? == known {
            looking.0 = None;
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Resalted,
            NAME,
            "compare the salt",
        ))
    }
}

/// Puts the doubt back, unless it was resolved.
struct Doubt<'a>(Option<&'a Salt>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(salt) = self.0 {
            salt.doubt();
        }
    }
}

/// Keeps `ours` where there is none, and answers what is kept, in one round trip.
async fn keep(link: &mut Link, key: &str, ours: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let (salt,): (Vec<u8>,) = redis::pipe()
        .cmd("SET")
        .arg(key)
        .arg(&ours)
        .arg("NX")
        .ignore()
        .cmd("GET")
        .arg(key)
        .query_async(link)
        .await
        .map_err(|error| failed(DOING, error))?;
    salt.try_into()
        .map_err(|_| damaged(DOING, "the salt has another length"))
}

fn random() -> Result<[u8; 32], StoreError> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|_| damaged(DOING, "there is no randomness"))?;
    Ok(salt)
}

const DOING: &str = "read the salt";
