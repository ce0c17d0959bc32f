//! Whether a Redis can be a store at all, by what it says of itself. `CONFIG` may be forbidden, so `INFO` is asked.

use oncegate::store::{StoreError, StoreErrorKind};
use redis::RedisResult;

use super::error::{NAME, RedisOpenError};
use super::link::Link;

/// Why a Redis cannot be a store.
pub(super) async fn unfit(link: &mut Link) -> RedisResult<Option<RedisOpenError>> {
    let info = link.info().await?;
    Ok(info
        .iter()
        .find_map(|(_node, told)| too_old(told).or_else(|| evicts(told))))
}

/// Looks once more: what was fit at the start may be set up in another way by now. One that does not tell is taken as it
/// was: whether it can do work at all, the request that follows finds out.
pub(super) async fn still_fit(link: &mut Link) -> Result<(), StoreError> {
    let Ok(Some(reason)) = unfit(link).await else {
        return Ok(());
    };
    let error = StoreError::new(StoreErrorKind::Unfit, NAME, "look whether it is still fit");
    Err(error.because(reason))
}

/// Scripts have flags since 7.0: by them, what was executed is recorded even where memory is full.
fn too_old(told: &str) -> Option<RedisOpenError> {
    let version = field(told, "redis_version")?;
    let major: u32 = version.split('.').next()?.parse().ok()?;
    (major < 7).then(|| RedisOpenError::TooOld {
        version: version.to_owned(),
    })
}

/// A full Redis has to refuse what is new, and keep what it has.
fn evicts(told: &str) -> Option<RedisOpenError> {
    let policy = field(told, "maxmemory_policy")?;
    (policy != "noeviction").then(|| RedisOpenError::Evicts {
        policy: policy.to_owned(),
    })
}

fn field<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_redis_says_of_itself_decides_whether_it_can_be_a_store() {
        let told = |version: &str, policy: &str| {
            format!(
                "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory_policy:{policy}\r\n"
            )
        };
        let too_old_one = told("6.2.14", "noeviction");
        assert!(matches!(
            too_old(&too_old_one),
            Some(RedisOpenError::TooOld { version }) if version == "6.2.14"
        ));
        for fit in ["7.0.0", "7.2.4", "10.0.1"] {
            assert!(too_old(&told(fit, "noeviction")).is_none(), "{fit}");
        }
        for policy in ["allkeys-lru", "volatile-ttl"] {
            let told = told("7.0.0", policy);
            assert!(matches!(
                evicts(&told),
                Some(RedisOpenError::Evicts { policy: named }) if named == policy
            ));
        }
        assert!(evicts(&told("7.0.0", "noeviction")).is_none());
    }
}
