//! Bounds on how many new keys come into the store in a while: of one scope, from one address, and in all (M-38).
//!
//! Promises: a request is counted only if it creates a record, and held up only if it would. Replays and judgements go
//! on whatever the quota. What is remembered for that is bounded, and lost on a restart.
//!
//! Deliberately absent: counting over several processes, and records that are there already. A quota bounds how fast
//! one process lets the store grow. A key that was released again has been counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use http::request::Parts;
use oncegate::scope::Scope;
use parking_lot::Mutex;
use tokio::time::Instant;

/// So many new keys in so long a time. All of them may come at once; then each comes back by itself, one after the
/// other, evenly over that time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    keys_max: u32,
    per: Duration,
}

/// The quotas of a process. None are in force by default.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: built with `..Quotas::default()`"
)]
pub struct Quotas {
    /// Of one scope. Those without any credential share a scope, and are not counted here.
    pub per_scope: Option<Quota>,
    /// From one address, for those whose scope is not a verified claim: anybody can invent a credential.
    pub per_address: Option<Quota>,
    /// In all.
    pub total: Option<Quota>,
}

/// Where a request comes from, as far as [`Quotas::per_address`] goes. Those of whom nothing is known share a quota.
pub type ClientAddress = fn(&Parts) -> Option<IpAddr>;

impl Quota {
    /// A quota of at least one key.
    #[must_use]
    pub const fn new(keys_max: u32, per: Duration) -> Option<Self> {
        if keys_max == 0 || per.is_zero() {
            return None;
        }
        Some(Self { keys_max, per })
    }

    /// How many.
    #[must_use]
    pub const fn keys_max(self) -> u32 {
        self.keys_max
    }

    /// In how long.
    #[must_use]
    pub const fn per(self) -> Duration {
        self.per
    }

    /// What one key costs.
    fn each(self) -> Duration {
        self.per / self.keys_max
    }
}

/// Whose quotas a request counts against.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    scope: Option<Scope>,
    address: Option<IpAddr>,
}

impl Subject {
    /// The subject of a request in this scope; `verified` if a claim is part of it.
    pub(crate) fn of(scope: Scope, verified: bool, meters: &Meters, parts: &Parts) -> Self {
        let counted = meters.quotas.per_address.is_some() && !verified;
        Self {
            scope: (!scope.is_anonymous()).then_some(scope),
            address: counted.then(|| network((meters.client_address)(parts))),
        }
    }
}

/// Counts new records.
#[derive(Debug)]
pub(crate) struct Meters {
    quotas: Quotas,
    client_address: ClientAddress,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: Meter,
    scopes: Table<Scope>,
    addresses: Table<IpAddr>,
}

/// When all that was taken will have come back. One that lies behind is as good as none.
#[derive(Clone, Copy, Debug, Default)]
struct Meter(Duration);

/// The meters of those who took something lately.
#[derive(Debug)]
struct Table<K> {
    meters: HashMap<K, Meter>,
    /// Of those for whom there was no room.
    crowd: Meter,
    /// Not tidied up before this: that takes as long as the table is large.
    tidied_again_at: Duration,
}

impl Meters {
    pub(crate) fn new(quotas: Quotas, client_address: ClientAddress) -> Self {
        Self {
            quotas,
            client_address,
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Takes one key of each quota, or of none: then it says after how long it would.
    pub(crate) fn take(&self, subject: &Subject) -> Result<(), Duration> {
        if self.quotas == Quotas::default() {
            return Ok(());
        }
        let now = self.started.elapsed();
        let mut state = self.state.lock();
        let State {
            total,
            scopes,
            addresses,
        } = &mut *state;
        // The address first: whoever invents scopes must not fill their table from one place.
        let by_address = self
            .quotas
            .per_address
            .zip(subject.address.as_ref())
            .map(|(quota, address)| (quota, addresses.admit(address, now)));
        room(&by_address, now)?;
        let by_scope = self
            .quotas
            .per_scope
            .zip(subject.scope.as_ref())
            .map(|(quota, scope)| (quota, scopes.admit(scope, now)));
        room(&by_scope, now)?;
        let in_all = self.quotas.total.map(|quota| (quota, total));
        room(&in_all, now)?;
        for (quota, meter) in [by_address, by_scope, in_all].into_iter().flatten() {
            meter.0 = meter.0.max(now) + quota.each();
        }
        Ok(())
    }

    /// Gives back what a request took that created no record.
    pub(crate) fn give_back(&self, subject: &Subject) {
        if self.quotas == Quotas::default() {
            return;
        }
        let mut state = self.state.lock();
        let State {
            total,
            scopes,
            addresses,
        } = &mut *state;
        let by_address = self
            .quotas
            .per_address
            .zip(subject.address.as_ref())
            .map(|(quota, address)| (quota, addresses.find(address)));
        let by_scope = self
            .quotas
            .per_scope
            .zip(subject.scope.as_ref())
            .map(|(quota, scope)| (quota, scopes.find(scope)));
        let in_all = self.quotas.total.map(|quota| (quota, total));
        for (quota, meter) in [by_address, by_scope, in_all].into_iter().flatten() {
            meter.0 = meter.0.saturating_sub(quota.each());
        }
    }
}

impl<K: Clone + Eq + Hash> Table<K> {
    /// The meter of `key`: its own, or, if there is no room for one, that of the crowd.
    fn admit(&mut self, key: &K, now: Duration) -> &mut Meter {
        if self.meters.len() >= QUOTA_SUBJECTS_MAX && now >= self.tidied_again_at {
            self.meters.retain(|_, meter| meter.0 > now);
            self.tidied_again_at = now + TIDY_PAUSE;
        }
        if self.meters.len() < QUOTA_SUBJECTS_MAX && !self.meters.contains_key(key) {
            self.meters.insert(key.clone(), Meter::default());
        }
        self.find(key)
    }

    fn find(&mut self, key: &K) -> &mut Meter {
        self.meters.get_mut(key).unwrap_or(&mut self.crowd)
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            meters: HashMap::new(),
            crowd: Meter::default(),
            tidied_again_at: Duration::ZERO,
        }
    }
}

/// Whether there is room for one key more, or else when there will be.
fn room(metered: &Option<(Quota, &mut Meter)>, now: Duration) -> Result<(), Duration> {
    let Some((quota, meter)) = metered else {
        return Ok(());
    };
    let full = meter.0.max(now) + quota.each();
    match full.checked_sub(now + quota.per) {
        None | Some(Duration::ZERO) => Ok(()),
        Some(wait) => Err(wait),
    }
}

/// One network is one address: whoever has an IPv6 address has 2^64 of them.
fn network(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(IpAddr::V4(address)) => IpAddr::V4(address),
        Some(IpAddr::V6(address)) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}

/// Scopes, and addresses, whose quotas are counted each by itself. All above that share one quota.
pub const QUOTA_SUBJECTS_MAX: usize = 65_536;
const TIDY_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use oncegate::scope::ScopeRules;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn scope(name: usize) -> Scope {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("Bearer {name}")).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        Scope::resolve(&headers, &ScopeRules::default()).unwrap()
    }

    fn subject(scope_name: usize, address: &str) -> Subject {
        Subject {
            scope: Some(scope(scope_name)),
            address: Some(network(Some(address.parse().unwrap()))),
        }
    }

    fn meters(quotas: Quotas) -> Meters {
        Meters::new(quotas, |_| None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_can_be_used_at_once_and_comes_back_evenly() {
        let meters = meters(Quotas {
            per_scope: Quota::new(4, HOUR),
            ..Quotas::default()
        });
        let take = |name| meters.take(&subject(name, "192.0.2.1"));
        assert_eq!([take(1), take(1), take(1), take(1)], [Ok(()); 4]);
        assert_eq!(take(1), Err(HOUR / 4));
        assert_eq!(take(2), Ok(()));
        tokio::time::advance(HOUR / 4).await;
        assert_eq!([take(1), take(1)], [Ok(()), Err(HOUR / 4)]);
        tokio::time::advance(HOUR * 10).await;
        assert_eq!([take(1), take(1), take(1), take(1)], [Ok(()); 4]);
        assert!(take(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_can_be_taken_again() {
        let one = Quota::new(1, HOUR);
        let meters = meters(Quotas {
            per_scope: one,
            per_address: one,
            total: one,
        });
        let anybody = subject(1, "192.0.2.1");
        for _ in 0..3 {
            assert_eq!(meters.take(&anybody), Ok(()));
            assert!(meters.take(&anybody).is_err());
            meters.give_back(&anybody);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_quota_that_is_used_up_costs_nothing_of_the_others() {
        let meters = meters(Quotas {
            per_scope: Quota::new(1, HOUR),
            per_address: None,
            total: Quota::new(2, HOUR),
        });
        let take = |name| meters.take(&subject(name, "192.0.2.1")).is_ok();
        assert_eq!(
            [take(1), take(1), take(1), take(2), take(3)],
            [true, false, false, true, false]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_network_is_one_address_and_a_mapped_address_is_its_own() {
        let meters = meters(Quotas {
            per_address: Quota::new(1, HOUR),
            ..Quotas::default()
        });
        let take = |address| meters.take(&subject(1, address)).is_ok();
        assert!(take("2001:db8:1:2::1") && !take("2001:db8:1:2:ffff::9"));
        assert!(take("2001:db8:1:3::1"));
        assert!(take("192.0.2.1") && !take("::ffff:192.0.2.1"));
        assert!(take("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn those_for_whom_there_is_no_room_share_one_quota_until_others_have_theirs_back() {
        let meters = meters(Quotas {
            per_scope: Quota::new(2, HOUR),
            ..Quotas::default()
        });
        let take = |name| meters.take(&subject(name, "192.0.2.1")).is_ok();
        assert!((0..QUOTA_SUBJECTS_MAX).all(take));
        let (one, two, three) = (
            QUOTA_SUBJECTS_MAX,
            QUOTA_SUBJECTS_MAX + 1,
            QUOTA_SUBJECTS_MAX + 2,
        );
        assert_eq!([take(one), take(two), take(three)], [true, true, false]);
        // Those who are known have their own.
        assert!(take(0));
        tokio::time::advance(HOUR).await;
        assert_eq!([take(three), take(three), take(three)], [true, true, false]);
        assert!(meters.state.lock().scopes.meters.len() < 4);
    }
}
