//! Bounds on how many new keys come into the store in a while: of one scope, from one address, and in all (M-38).
//!
//! Promises: a request is counted only if it creates a record, and held up only if it would. Replays and judgements go
//! on whatever the quota. While the store has not decided yet which of them a request is, a key is held for it: no
//! quota is ever exceeded, and a new key that finds only such keys in its way is told to come back at once, and not
//! when a spent one would. What is remembered for that is bounded, and lost on a restart.
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

/// What was taken of a quota.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    /// When all that was spent will have come back. One that lies behind is as good as none.
    back_at: Duration,
    /// Keys that are held for requests of which the store has not said yet whether they create a record.
    undecided: u32,
}

/// Whose meter counts for a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Its,
    /// There was no room for one of its own.
    Crowds,
}

/// One key of each quota, held until it is known whether a record comes of it. Dropped, it goes back to where it was
/// taken.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    /// Nothing if there are no quotas.
    meters: Option<&'a Meters>,
    subject: &'a Subject,
    by_address: Option<Whose>,
    by_scope: Option<Whose>,
}

impl Taken<'_> {
    /// A record was created.
    pub(crate) fn spend(mut self) {
        if let Some(meters) = self.meters.take() {
            let now = meters.started.elapsed();
            meters.decide(&self, |quota, meter| meter.spend(quota, now));
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(meters) = self.meters.take() {
            meters.decide(self, |_quota, meter| meter.give_back());
        }
    }
}

impl Meter {
    /// Whether there is room for one key more, or else when there will be. What is undecided may be spent, so there
    /// is no room for that twice; but it may as well come back at once.
    fn room(&self, quota: Quota, now: Duration) -> Result<(), Duration> {
        let back_at = self.back_at.max(now) + quota.each();
        let full_at = now + quota.per;
        match back_at.checked_sub(full_at) {
            None | Some(Duration::ZERO) => {}
            Some(wait) => return Err(wait),
        }
        if back_at + quota.each().saturating_mul(self.undecided) > full_at {
            return Err(Duration::ZERO);
        }
        Ok(())
    }

    const fn give_back(&mut self) {
        debug_assert!(self.undecided > 0, "what is given back was taken");
        self.undecided = self.undecided.saturating_sub(1);
    }

    fn spend(&mut self, quota: Quota, now: Duration) {
        self.give_back();
        self.back_at = self.back_at.max(now) + quota.each();
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.undecided == 0 && self.back_at <= now
    }
}

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

    /// Takes one key of each quota, or of none: then it says after how long it would. Without any wait, it is held up
    /// only by requests that are about to be decided.
    pub(crate) fn take<'a>(&'a self, subject: &'a Subject) -> Result<Taken<'a>, Duration> {
        let mut taken = Taken {
            meters: None,
            subject,
            by_address: None,
            by_scope: None,
        };
        if self.quotas == Quotas::default() {
            return Ok(taken);
        }
        let now = self.started.elapsed();
        let mut state = self.state.lock();
        let State {
            total,
            scopes,
            addresses,
        } = &mut *state;
        let mut held: [Option<&mut Meter>; 3] = [None, None, None];
        // The address first: whoever invents scopes must not fill their table from one place.
        if let (Some(quota), Some(address)) = (self.quotas.per_address, &subject.address) {
            let (whose, meter) = addresses.admit(address, now);
            meter.room(quota, now)?;
            taken.by_address = Some(whose);
            held[0] = Some(meter);
        }
        if let (Some(quota), Some(scope)) = (self.quotas.per_scope, &subject.scope) {
            let (whose, meter) = scopes.admit(scope, now);
            meter.room(quota, now)?;
            taken.by_scope = Some(whose);
            held[1] = Some(meter);
        }
        if let Some(quota) = self.quotas.total {
            total.room(quota, now)?;
            held[2] = Some(total);
        }
        for meter in held.into_iter().flatten() {
            meter.undecided += 1;
        }
        taken.meters = Some(self);
        Ok(taken)
    }

    /// Does the same to each meter of which one key was taken.
    fn decide(&self, taken: &Taken<'_>, each: impl Fn(Quota, &mut Meter)) {
        let mut state = self.state.lock();
        let State {
            total,
            scopes,
            addresses,
        } = &mut *state;
        let by_address = taken
            .by_address
            .zip(taken.subject.address.as_ref())
            .and_then(|(whose, address)| addresses.meter(whose, address));
        let by_scope = taken
            .by_scope
            .zip(taken.subject.scope.as_ref())
            .and_then(|(whose, scope)| scopes.meter(whose, scope));
        let metered = [
            (self.quotas.per_address, by_address),
            (self.quotas.per_scope, by_scope),
            (self.quotas.total, Some(total)),
        ];
        for (quota, meter) in metered {
            if let (Some(quota), Some(meter)) = (quota, meter) {
                each(quota, meter);
            }
        }
    }
}

impl<K: Clone + Eq + Hash> Table<K> {
    /// The meter of `key`: its own, or, if there is no room for one, that of the crowd.
    fn admit(&mut self, key: &K, now: Duration) -> (Whose, &mut Meter) {
        if self.meters.len() >= QUOTA_SUBJECTS_MAX && now >= self.tidied_again_at {
            self.meters.retain(|_, meter| !meter.is_idle(now));
            self.tidied_again_at = now + TIDY_PAUSE;
        }
        if self.meters.len() < QUOTA_SUBJECTS_MAX && !self.meters.contains_key(key) {
            self.meters.insert(key.clone(), Meter::default());
        }
        match self.meters.get_mut(key) {
            Some(meter) => (Whose::Its, meter),
            None => (Whose::Crowds, &mut self.crowd),
        }
    }

    /// The meter that was found when something was taken of it. What is undecided keeps it there.
    fn meter(&mut self, whose: Whose, key: &K) -> Option<&mut Meter> {
        match whose {
            Whose::Its => self.meters.get_mut(key),
            Whose::Crowds => Some(&mut self.crowd),
        }
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

    /// Whether a record can be created.
    fn spends(meters: &Meters, subject: &Subject) -> bool {
        meters.take(subject).map(Taken::spend).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_can_be_used_at_once_and_comes_back_evenly() {
        let meters = meters(Quotas {
            per_scope: Quota::new(4, HOUR),
            ..Quotas::default()
        });
        let take = |name| meters.take(&subject(name, "192.0.2.1")).map(Taken::spend);
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
            let taken = meters.take(&anybody).unwrap();
            // It may come back at any moment; a key that was spent, in an hour.
            assert_eq!(meters.take(&anybody).unwrap_err(), Duration::ZERO);
            drop(taken);
        }
        meters.take(&anybody).unwrap().spend();
        assert_eq!(meters.take(&anybody).unwrap_err(), HOUR);
    }

    /// What the crowd spent used to be credited to it by those who have meters of their own by now, or had.
    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_goes_back_to_where_it_was_taken() {
        let meters = meters(Quotas {
            per_scope: Quota::new(2, HOUR),
            ..Quotas::default()
        });
        let (early, late) = (subject(0, "192.0.2.1"), subject(1, "192.0.2.1"));
        let of_its_own = meters.take(&early).unwrap();
        for name in 2..=QUOTA_SUBJECTS_MAX {
            assert!(spends(&meters, &subject(name, "192.0.2.1")));
        }
        let of_the_crowd = meters.take(&late).unwrap();
        let crowd = || meters.state.lock().scopes.crowd.undecided;
        assert_eq!(crowd(), 1);
        // All others are tidied away, and the late one gets a meter of its own.
        tokio::time::advance(HOUR).await;
        let again = meters.take(&late).unwrap();
        let own = |subject: &Subject| {
            let scope = subject.scope.as_ref().unwrap();
            meters.state.lock().scopes.meters[scope].undecided
        };
        assert_eq!((own(&early), own(&late), crowd()), (1, 1, 1));
        drop(of_its_own);
        assert_eq!((own(&early), own(&late), crowd()), (0, 1, 1));
        drop(of_the_crowd);
        assert_eq!((own(&late), crowd()), (1, 0));
        drop(again);
        assert_eq!((own(&late), crowd()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_quota_that_is_used_up_costs_nothing_of_the_others() {
        let meters = meters(Quotas {
            per_scope: Quota::new(1, HOUR),
            per_address: None,
            total: Quota::new(2, HOUR),
        });
        let take = |name| spends(&meters, &subject(name, "192.0.2.1"));
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
        let take = |address| spends(&meters, &subject(1, address));
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
        let take = |name| spends(&meters, &subject(name, "192.0.2.1"));
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
