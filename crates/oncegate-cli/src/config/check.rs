//! Settings that are right by themselves and wrong together.
//!
//! Promises: what a clash says names both settings and their values. It is reported once, at the
//! setting that brought it about: what a route inherits is not reported again for the route.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate::Policy;
use oncegate::fingerprint::FingerprintMode;
use oncegate::key::KeyFormat;
use oncegate::policy::{InFlight, OnUnknown};
use oncegate::scope::{Anonymous, ScopeSource};
use oncegate::units::show_duration;

use super::error::{Finding, Origin};
use super::read;
use super::refusal::Refusal;
use super::setting::{Choice, PolicyDraft};
use super::value::Value;

/// Where each setting of one level was given.
pub(super) type Origins = BTreeMap<&'static str, Origin>;

/// Reads a lease.
pub(super) fn lease(value: &Value) -> Result<Duration, Refusal> {
    read::duration(value, LEASE_MIN..=LEASE_MAX).map_err(|refusal| {
        refusal.hint("a lease is renewed after a third of it, and a store may need that long")
    })
}

/// Makes a policy of a draft, and says what goes ill together in it.
///
/// `given` is what was given at this level. What stems from elsewhere was reported there.
pub(super) fn finish(draft: PolicyDraft, given: &Origins) -> (Policy, Vec<Finding>) {
    let PolicyDraft {
        mut policy,
        on_unknown,
        reconcile,
    } = draft;
    let mut clashes = clashes(&policy);
    policy.on_unknown = match (on_unknown, reconcile) {
        (Choice::Refuse, None) => OnUnknown::Refuse,
        (Choice::Reexecute, None) => OnUnknown::Reexecute,
        (Choice::Reconcile, Some(reconcile)) => OnUnknown::Reconcile(reconcile),
        (Choice::Reconcile, None) => {
            clashes.push(RECONCILE_MISSING.clash());
            OnUnknown::Refuse
        }
        (choice @ (Choice::Refuse | Choice::Reexecute), Some(_)) => {
            // A route may well refuse where the defaults reconcile.
            if given.contains_key("reconcile") {
                clashes.push(RECONCILE_UNUSED.clash());
            }
            if choice == Choice::Refuse {
                OnUnknown::Refuse
            } else {
                OnUnknown::Reexecute
            }
        }
    };
    (
        policy,
        clashes
            .into_iter()
            .filter_map(|clash| clash.report(given))
            .collect(),
    )
}

/// Two settings that cannot both be as they are.
struct Clash {
    settings: [&'static str; 2],
    why: String,
    help: &'static str,
}

/// A clash without values in its message.
struct Fixed {
    settings: [&'static str; 2],
    why: &'static str,
    help: &'static str,
}

impl Fixed {
    fn clash(&self) -> Clash {
        Clash {
            settings: self.settings,
            why: self.why.to_owned(),
            help: self.help,
        }
    }
}

impl Clash {
    /// The finding, at whichever of the two was given here; nothing if neither was.
    fn report(self, given: &Origins) -> Option<Finding> {
        let origin = self.settings.iter().find_map(|name| given.get(name))?;
        Some(Finding::new(self.why).with_help(self.help).at(origin))
    }
}

fn clashes(policy: &Policy) -> Vec<Clash> {
    [
        lease_outlives_unknown(policy),
        store_slower_than_lease(policy),
        waiting_longer_than_answers(policy),
        status_of_two_kinds(policy),
        exclusions_without_use(policy),
        first_sent_without_time(policy),
        nobody_may(policy),
        scope_is_the_key(policy),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn lease_outlives_unknown(policy: &Policy) -> Option<Clash> {
    (policy.lease > policy.unknown_retention).then(|| Clash {
        settings: ["lease", "unknown_retention"],
        why: longer(
            ("lease", policy.lease),
            ("unknown_retention", policy.unknown_retention),
        ),
        help: "a lapsed lease is an unknown outcome, which has to be remembered for longer",
    })
}

fn store_slower_than_lease(policy: &Policy) -> Option<Clash> {
    (policy.store_timeout >= policy.lease).then(|| Clash {
        settings: ["store_timeout", "lease"],
        why: longer(
            ("store_timeout", policy.store_timeout),
            ("lease", policy.lease),
        ),
        help: "a lease has to be renewed before it lapses: give the store less time",
    })
}

fn waiting_longer_than_answers(policy: &Policy) -> Option<Clash> {
    let too_long =
        policy.in_flight == InFlight::Wait && policy.wait_timeout > policy.answer_timeout;
    too_long.then(|| Clash {
        settings: ["wait_timeout", "answer_timeout"],
        why: longer(
            ("wait_timeout", policy.wait_timeout),
            ("answer_timeout", policy.answer_timeout),
        ),
        help: "a duplicate would be held for longer than the first request itself",
    })
}

fn status_of_two_kinds(policy: &Policy) -> Option<Clash> {
    let both = policy
        .transient_statuses
        .iter()
        .find(|it| policy.unknown_statuses.contains(it))?;
    Some(Clash {
        settings: ["transient_statuses", "unknown_statuses"],
        why: format!(
            "{} cannot be in both `transient_statuses` and `unknown_statuses`",
            both.as_u16()
        ),
        help: "the one says that nothing ran, the other that it may have run",
    })
}

fn exclusions_without_use(policy: &Policy) -> Option<Clash> {
    let unused =
        !policy.fingerprint.exclude.is_empty() && policy.fingerprint.mode != FingerprintMode::Auto;
    unused.then(|| Clash {
        settings: ["fingerprint_exclude", "fingerprint"],
        why: "`fingerprint_exclude` needs `fingerprint = \"auto\"`".to_owned(),
        help: "places can only be left out where JSON is compared by its meaning",
    })
}

fn first_sent_without_time(policy: &Policy) -> Option<Clash> {
    let has_time = matches!(policy.key_rules.format, KeyFormat::Uuid7 | KeyFormat::Ulid);
    (policy.first_sent && !has_time).then(|| Clash {
        settings: ["first_sent", "key_format"],
        why: "`first_sent` needs `key_format = \"uuid7\"` or `\"ulid\"`".to_owned(),
        help: "only these say when they were made; other keys could be taken for very old ones",
    })
}

fn nobody_may(policy: &Policy) -> Option<Clash> {
    let nobody = policy.scope.sources.is_empty() && policy.scope.anonymous == Anonymous::Refuse;
    nobody.then(|| Clash {
        settings: ["scope", "anonymous"],
        why: "`scope = []` with `anonymous = \"refuse\"` refuses every key".to_owned(),
        help: "name what tells clients apart, such as `header:authorization`",
    })
}

fn scope_is_the_key(policy: &Policy) -> Option<Clash> {
    let key = policy.key_header.iter().find(|name| {
        policy
            .scope
            .sources
            .contains(&ScopeSource::Header(http::HeaderName::clone(name)))
    })?;
    Some(Clash {
        settings: ["scope", "key_header"],
        why: format!("`scope` cannot look at `{key}`: it holds the key"),
        help: "a scope is whom a key belongs to: name what the client proves itself with",
    })
}

fn longer(this: (&str, Duration), that: (&str, Duration)) -> String {
    let show = |(name, duration)| format!("`{name}` ({})", show_duration(duration));
    let relation = if this.1 == that.1 {
        "as long as"
    } else {
        "longer than"
    };
    format!("{} cannot be {relation} {}", show(this), show(that))
}

const RECONCILE_MISSING: Fixed = Fixed {
    settings: ["on_unknown", "reconcile"],
    why: "`on_unknown = \"reconcile\"` does not say where to ask: `reconcile` is missing",
    help: "add `reconcile = { get = \"/payments/by-key/{key}\", status = 201 }`",
};
const RECONCILE_UNUSED: Fixed = Fixed {
    settings: ["reconcile", "on_unknown"],
    why: "`reconcile` has no effect without `on_unknown = \"reconcile\"`",
    help: "add `on_unknown = \"reconcile\"`, or take `reconcile` away",
};
/// Less, and one slow step of the store turns executions that go well into unknown ones.
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
