//! The guarantees, under some hundred seeds: see `oncegate::testing::sim`. A failure prints `SEED=..`; set the
//! environment variable `SEED` to run that one alone.

use std::sync::Arc;

use oncegate::Policy;
use oncegate::policy::OnUnknown;
use oncegate::testing::UnfencedStore;
use oncegate::testing::sim::{Plan, Report, Violation, run};

fn under(on_unknown: OnUnknown) -> Plan {
    let plan = Plan::default();
    Plan {
        policy: Policy {
            on_unknown,
            ..plan.policy.clone()
        },
        ..plan
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// Runs all seeds, and answers what happened in all of them together.
fn survives(plan: &Plan) -> Report {
    let mut sum = Report::default();
    for seed in seeds() {
        match run(seed, plan, |store| store) {
            Ok(report) => {
                sum.executions += report.executions;
                sum.replays += report.replays;
                sum.in_flight += report.in_flight;
                sum.unknown += report.unknown;
                sum.mismatches += report.mismatches;
                sum.expired += report.expired;
                sum.failed += report.failed;
                sum.take_overs += report.take_overs;
                sum.stale += report.stale;
                sum.completions += report.completions;
                sum.settlements += report.settlements;
                sum.crashes += report.crashes;
            }
            Err(violation) => panic!("{violation}"),
        }
    }
    sum
}

/// The first seed under which the checker finds fault.
fn first_violation(plan: &Plan, unfenced: bool) -> Violation {
    let found = (0..SEEDS).find_map(|seed| {
        run(seed, plan, |store| {
            if unfenced {
                Arc::new(UnfencedStore::new(store))
            } else {
                store
            }
        })
        .err()
    });
    found.expect("the checker finds nothing wrong with what is broken on purpose")
}

/// No key is executed twice unless somebody gave it up or its time was over; no two answers for one key.
#[test]
fn no_key_is_executed_twice_under_refuse() {
    let sum = survives(&under(OnUnknown::Refuse));
    assert_eq!(sum.take_overs, 0);
    for (what, count) in [
        ("executions", sum.executions),
        ("replays", sum.replays),
        ("in flight", sum.in_flight),
        ("unknown", sum.unknown),
        ("mismatches", sum.mismatches),
        ("expired", sum.expired),
        ("failed", sum.failed),
        ("stale", sum.stale),
        ("completions", sum.completions),
        ("settlements", sum.settlements),
        ("crashes", sum.crashes),
    ] {
        assert!(
            count > 0 || seeds().len() == 1,
            "{what}: the simulation never came to it"
        );
    }
}

/// Executions of one key have growing fences, live leases are left alone, and the last answer is the only one.
#[test]
fn executions_of_one_key_have_growing_fences_under_reexecute() {
    let sum = survives(&under(OnUnknown::Reexecute));
    assert!(
        sum.take_overs > 0 && sum.stale > 0 || seeds().len() == 1,
        "{sum:?}"
    );
}

/// The same with links that never fail: the checker is not merely blinded by faults.
#[test]
fn the_same_holds_without_faults_and_crashes() {
    for on_unknown in [OnUnknown::Refuse, OnUnknown::Reexecute] {
        let faults = oncegate::testing::FaultRates {
            delay: 500,
            ..Default::default()
        };
        survives(&Plan {
            faults,
            crashes: 0,
            ..under(on_unknown)
        });
    }
}

/// A checker that cannot fail proves nothing: without owners it finds a second execution or a second answer.
#[test]
fn the_checker_finds_fault_with_a_store_that_ignores_owners() {
    for on_unknown in [OnUnknown::Refuse, OnUnknown::Reexecute] {
        let violation = first_violation(&under(on_unknown), true);
        assert!(violation.to_string().starts_with("SEED="), "{violation}");
    }
}

/// A holder that executes without believing in its lease reaches the upstream after its successor.
#[test]
fn the_checker_finds_fault_with_holders_that_do_not_heed_their_lease() {
    let violation = first_violation(
        &Plan {
            reckless: true,
            ..under(OnUnknown::Reexecute)
        },
        false,
    );
    assert!(
        violation.broken.contains("was executed after fence"),
        "{violation}"
    );
}

#[test]
fn one_seed_gives_one_run() {
    let plan = under(OnUnknown::Reexecute);
    for seed in 0..5 {
        assert_eq!(
            run(seed, &plan, |store| store),
            run(seed, &plan, |store| store)
        );
    }
}

const SEEDS: u64 = 150;
