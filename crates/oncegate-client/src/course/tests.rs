//! What follows from what was seen, over several attempts.

use std::time::Duration;

use oncegate::problem::Executed;
use proptest::prelude::*;

use super::{Course, Ending, Moment, Step};
use crate::classify::{Advice, Protection, Reading};
use crate::policy::RetryPolicy;

const DAY: Duration = Duration::from_hours(24);

fn moment() -> Moment {
    Moment {
        elapsed: Duration::ZERO,
        retention: DAY,
        random: 0.5,
        refreshable: true,
        same_origin: true,
    }
}

fn course() -> Course {
    Course::new(RetryPolicy::default())
}

const fn again(executed: Executed) -> Reading {
    Reading::Again {
        executed,
        after: None,
    }
}

const fn yes(protection: Protection) -> Reading {
    Reading::Yes {
        replayed: false,
        lost: false,
        protection,
    }
}

const fn no(settles: bool) -> Reading {
    Reading::No {
        advice: Advice::Rotate,
        settles,
    }
}

const ROTATE: Ending = Ending::No {
    advice: Advice::Rotate,
};

#[test]
fn after_a_doubt_only_the_keys_own_outcome_is_a_definite_no() {
    let rows = [
        (no(true), ROTATE),
        (no(false), Ending::Unknown),
        (Reading::Unauthorised, Ending::Unknown),
        (Reading::Never, Ending::Unknown),
    ];
    for (reading, ending) in rows {
        let mut course = course();
        course.judge(again(Executed::Maybe), &moment());
        assert_eq!(
            course.judge(reading, &moment()),
            Step::End(ending),
            "{reading:?}"
        );
        let mut resumed = Course::resumed(RetryPolicy::default(), Duration::ZERO);
        assert_eq!(
            resumed.judge(reading, &moment()),
            Step::End(ending),
            "{reading:?}"
        );
    }
}

#[test]
fn what_the_server_knows_to_have_run_ends_as_yes() {
    let mut course = course();
    course.judge(again(Executed::Yes), &moment());
    let step = course.judge(Reading::Never, &moment());
    assert!(
        matches!(step, Step::End(Ending::Yes { lost: true, .. })),
        "{step:?}"
    );
}

/// The one case in which a client that does all right still pays twice, so it says so.
#[test]
fn a_yes_behind_a_doubt_without_a_sign_of_the_key_may_be_two() {
    let rows = [
        (Protection::Shown, false),
        (Protection::Unsaid, true),
        (Protection::Absent, true),
    ];
    for (protection, twice) in rows {
        let mut doubted = course();
        doubted.judge(again(Executed::Maybe), &moment());
        let step = doubted.judge(yes(protection), &moment());
        let Step::End(Ending::Yes { maybe_twice, .. }) = step else {
            panic!("{step:?}")
        };
        assert_eq!(maybe_twice, twice, "{protection:?}");

        let step = course().judge(yes(protection), &moment());
        assert!(
            matches!(
                step,
                Step::End(Ending::Yes {
                    maybe_twice: false,
                    ..
                })
            ),
            "{step:?}"
        );
    }
}

#[test]
fn credentials_are_refreshed_once_and_never_while_an_attempt_is_in_doubt() {
    let reuse = Step::End(Ending::No {
        advice: Advice::Reuse,
    });
    let mut fresh = course();
    assert_eq!(fresh.judge(Reading::Unauthorised, &moment()), Step::Refresh);
    assert_eq!(fresh.judge(Reading::Unauthorised, &moment()), reuse);

    let mut doubted = course();
    doubted.judge(again(Executed::Maybe), &moment());
    let step = doubted.judge(Reading::Unauthorised, &moment());
    assert_eq!(step, Step::End(Ending::Unknown));

    let policy = RetryPolicy {
        refresh_in_doubt: true,
        ..RetryPolicy::default()
    };
    let mut allowed = Course::new(policy);
    allowed.judge(again(Executed::Maybe), &moment());
    assert_eq!(
        allowed.judge(Reading::Unauthorised, &moment()),
        Step::Refresh
    );
}

#[test]
fn what_the_server_may_have_forgotten_is_not_sent() {
    let policy = RetryPolicy::default;
    let hour = Duration::from_hours(1);
    assert!(Course::resumed(policy(), DAY - hour).may_send(Duration::ZERO, DAY));
    assert!(!Course::resumed(policy(), DAY).may_send(Duration::ZERO, DAY));
    assert!(!Course::resumed(policy(), DAY - hour).may_send(hour, DAY));
    // What never left can be sent at any time.
    assert!(Course::new(policy()).may_send(DAY, DAY));

    // A retention of seconds ends the retries that the policy would still make.
    let mut course = course();
    let brief = Moment {
        retention: Duration::from_millis(400),
        ..moment()
    };
    let step = course.judge(again(Executed::Maybe), &brief);
    assert_eq!(step, Step::End(Ending::Unknown));
}

#[test]
fn no_attempt_begins_behind_the_deadline_whatever_leads_to_it() {
    let late = Moment {
        elapsed: RetryPolicy::default().total_timeout,
        ..moment()
    };
    for reading in [again(Executed::No), Reading::Unauthorised, Reading::Moved] {
        let step = course().judge(reading, &late);
        assert!(
            matches!(step, Step::End(Ending::No { .. })),
            "{reading:?}: {step:?}"
        );
    }
    let left =
        course().attempt_timeout(RetryPolicy::default().total_timeout - Duration::from_secs(1));
    assert_eq!(left, Duration::from_secs(1));
}

#[test]
fn a_wait_that_is_longer_than_the_policy_allows_ends_the_operation() {
    let asked = |seconds| Reading::Again {
        executed: Executed::No,
        after: Some(Duration::from_secs(seconds)),
    };
    let step = course().judge(asked(60), &moment());
    let after = Duration::from_millis(60_500);
    assert_eq!(step, Step::Again { after });
    let step = course().judge(asked(61), &moment());
    assert!(matches!(step, Step::End(Ending::No { .. })), "{step:?}");
}

#[test]
fn redirects_are_no_attempts_and_have_a_limit() {
    let mut course = course();
    for _ in 0..RetryPolicy::default().redirects_max {
        assert_eq!(course.judge(Reading::Moved, &moment()), Step::Follow);
    }
    let step = course.judge(Reading::Moved, &moment());
    assert!(matches!(step, Step::End(Ending::No { .. })), "{step:?}");
    assert_eq!(course.attempts(), 0);
}

fn readings() -> impl Strategy<Value = Reading> {
    let executed = prop_oneof![
        Just(Executed::No),
        Just(Executed::Maybe),
        Just(Executed::Yes)
    ];
    let after = prop::option::of((0..100u64).prop_map(Duration::from_secs));
    let protection = prop_oneof![
        Just(Protection::Shown),
        Just(Protection::Unsaid),
        Just(Protection::Absent)
    ];
    prop_oneof![
        (any::<bool>(), any::<bool>(), protection).prop_map(|(replayed, lost, protection)| {
            Reading::Yes {
                replayed,
                lost,
                protection,
            }
        }),
        any::<bool>().prop_map(no),
        (executed, after).prop_map(|(executed, after)| Reading::Again { executed, after }),
        Just(Reading::Unauthorised),
        Just(Reading::Moved),
        Just(Reading::Never),
    ]
}

/// Whether a reading leaves open, or knows, that something ran.
fn casts_doubt(reading: Reading) -> bool {
    match reading {
        Reading::Again { executed, .. } => executed != Executed::No,
        Reading::Never => true,
        Reading::Yes { .. } | Reading::No { .. } | Reading::Unauthorised | Reading::Moved => false,
    }
}

proptest! {
    /// Whatever comes in whatever order: it ends, within the limits, and never more certain than what was seen.
    #[test]
    fn an_ending_is_never_more_certain_than_what_was_seen(
        seen in prop::collection::vec((readings(), 0.0..=1.0f64, 0..200u64), 1..40),
        refreshable: bool,
    ) {
        let policy = RetryPolicy::default();
        let mut course = course();
        let (mut doubt, mut elapsed) = (false, Duration::ZERO);
        let mut follows = 0;
        for (reading, random, millis) in seen {
            elapsed += Duration::from_millis(millis);
            let moment = Moment { elapsed, random, refreshable, ..moment() };
            doubt |= casts_doubt(reading);
            match course.judge(reading, &moment) {
                Step::Again { after } => {
                    elapsed += after;
                    prop_assert!(elapsed < policy.total_timeout);
                }
                Step::Refresh | Step::Follow => follows += 1,
                Step::End(Ending::No { .. }) => {
                    let settled = matches!(reading, Reading::No { settles: true, .. });
                    prop_assert!(!doubt || settled);
                    break;
                }
                Step::End(Ending::Yes { .. }) => {
                    let said = matches!(reading, Reading::Yes { .. });
                    prop_assert!(doubt || said);
                    break;
                }
                Step::End(Ending::Unknown) => {
                    prop_assert!(doubt);
                    break;
                }
            }
            prop_assert!(course.attempts() <= policy.attempts_max);
        }
        prop_assert!(follows <= policy.redirects_max + 1);
    }
}
