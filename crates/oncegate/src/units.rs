//! Durations as people write them: `30s`, `24h`.
//!
//! Promises: what is shown reads back, by these units, as the same number of milliseconds. Deliberately absent:
//! reading them. Whoever reads has errors of its own to word.

use std::time::Duration;

/// Shows a duration in the largest unit that leaves no rest.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    // Nobody calls 24 hours a day where it is a length of time.
    let fits =
        |each: u64| millis.is_multiple_of(each.into()) && (each < DAY || millis > DAY.into());
    let unit = DURATION_UNITS.iter().rev().find(|(_, each)| fits(*each));
    let (name, each) = unit.unwrap_or(&DURATION_UNITS[0]);
    format!("{}{name}", millis / u128::from(*each))
}

/// The units and their milliseconds, growing.
pub const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", DAY),
];
/// In milliseconds.
const DAY: u64 = 86_400_000;
