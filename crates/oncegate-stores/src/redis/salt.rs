//! The salt that the Redis keeps, and whether it is still the one that was told.
//!
//! A Redis that lost its memory has no salt, and the first to notice gives it one: the one that it knows, so that
//! records of proxies that run on can still be compared. Where another was first, no record may be written under the
//! old one: [`confirm`](Salt::confirm) says so until the new one was asked for.

use oncegate::store::{StoreError, StoreErrorKind};
use parking_lot::Mutex;

use super::error::{NAME, damaged, failed};
use super::link::Link;

/// The salt, as this process knows it.
#[derive(Default)]
pub(super) struct Salt(Mutex<Option<[u8; 32]>>);

impl Salt {
    /// The salt; it is made if there is none.
    pub(super) async fn read(&self, link: &mut Link, key: &str) -> Result<[u8; 32], StoreError> {
        let known = *self.0.lock();
        let ours = match known {
            Some(salt) => salt,
            None => random()?,
        };
        let salt = keep(link, key, ours).await?;
        *self.0.lock() = Some(salt);
        Ok(salt)
    }

    /// Whether it is still the one that was told, if one was.
    pub(super) async fn confirm(&self, link: &mut Link, key: &str) -> Result<(), StoreError> {
        let Some(known) = *self.0.lock() else {
            return Ok(());
        };
        if keep(link, key, known).await? == known {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Resalted,
            NAME,
            "compare the salt",
        ))
    }
}

/// Answers what is kept; keeps `ours` where there is none. Only then it writes: a full Redis, and one that is a
/// replica, would refuse that, and with it all that could be replayed from them.
async fn keep(link: &mut Link, key: &str, ours: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let kept: Option<Vec<u8>> = redis::cmd("GET")
        .arg(key)
        .query_async(link)
        .await
        .map_err(|error| failed(DOING, error))?;
    if let Some(salt) = kept {
        return of_its_length(salt);
    }
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
    of_its_length(salt)
}

fn of_its_length(salt: Vec<u8>) -> Result<[u8; 32], StoreError> {
    salt.try_into()
        .map_err(|_| damaged(DOING, "the salt has another length"))
}

fn random() -> Result<[u8; 32], StoreError> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|_| damaged(DOING, "there is no randomness"))?;
    Ok(salt)
}

const DOING: &str = "read the salt";
