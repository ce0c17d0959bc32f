//! Durations and sizes as people write them: `30s`, `8MiB`.
//!
//! Promises: what is shown reads back as the same number, and a number without a unit is no
//! duration. Deliberately absent: sums (`1h30m`), fractions, and units that mean two things (`8M`).

use std::time::Duration;

use oncegate::units::DURATION_UNITS;
use oncegate_tower::Quota;

use super::refusal::Refusal;

/// Reads a duration: a whole number and a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    let (number, unit) = split(text).ok_or_else(|| {
        Refusal::new("it is not a whole number followed by a unit").hint(DURATION)
    })?;
    let millis = match unit {
        "" => return Err(Refusal::new("a duration needs a unit").hint(&with_seconds(number))),
        _ => unit_of(&DURATION_UNITS, unit)
            .ok_or_else(|| Refusal::new(&format!("`{unit}` is no unit of time")).hint(DURATION))?,
    };
    let millis = number.checked_mul(millis).ok_or_else(too_large)?;
    Ok(Duration::from_millis(millis))
}

/// Reads a quota: a whole number, a slash and a unit of time.
pub(super) fn parse_quota(text: &str) -> Result<Quota, Refusal> {
    let wrong = || Refusal::new("it is no number for each unit of time").hint(QUOTA);
    let (keys, unit) = text.split_once('/').ok_or_else(wrong)?;
    let keys: u32 = keys.trim().parse().map_err(|_| wrong())?;
    let (_, millis) = QUOTA_UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim())
        .ok_or_else(wrong)?;
    Quota::new(keys, Duration::from_millis(*millis))
        .ok_or_else(|| Refusal::new("a quota of none would refuse every key").hint(QUOTA))
}

/// Shows a quota as it would have to be written.
pub(super) fn show_quota(quota: Quota) -> String {
    let millis = quota.per().as_millis();
    let unit = QUOTA_UNITS
        .iter()
        .find(|(_, each)| u128::from(*each) == millis);
    format!(
        "{}/{}",
        quota.keys_max(),
        unit.map_or("?", |(name, _)| name)
    )
}

/// Reads a size: a whole number, with or without a unit.
pub(super) fn parse_size(text: &str) -> Result<u64, Refusal> {
    let (number, unit) =
        split(text).ok_or_else(|| Refusal::new("it is not a whole number of bytes").hint(SIZE))?;
    let bytes = match unit {
        "" => 1,
        _ => unit_of(&SIZE_UNITS, unit)
            .ok_or_else(|| Refusal::new(&format!("`{unit}` is no unit of size")).hint(SIZE))?,
    };
    number.checked_mul(bytes).ok_or_else(too_large)
}

/// Shows a size in the largest unit that leaves no rest, binary ones first.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, each)| bytes > 0 && bytes.is_multiple_of(*each));
    let (name, each) = unit.unwrap_or(&SIZE_UNITS[0]);
    format!("{}{name}", bytes / each)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn unit_of(units: &[(&str, u64)], name: &str) -> Option<u64> {
    units
        .iter()
        .find(|(unit, _)| unit.eq_ignore_ascii_case(name))
        .map(|(_, each)| *each)
}

fn with_seconds(number: u64) -> String {
    format!("add the unit: `{number}s` for seconds, `{number}ms` for milliseconds")
}

fn too_large() -> Refusal {
    Refusal::new("the number is too large")
}

const DURATION: &str = "write a number and one of ms, s, m, h, d";
const SIZE: &str = "write a number and one of B, KB, MB, GB (decimal) or KiB, MiB, GiB (binary)";
const QUOTA: &str = "write a number, a slash and one of s, m, h, d: `1000/h`";
/// In milliseconds.
const QUOTA_UNITS: [(&str, u64); 4] = [
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
/// In bytes. The binary ones come last, so that they are tried first.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

#[cfg(test)]
mod tests {
    use oncegate::units::show_duration;

    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        let table = [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("90s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("10m", 600_000, "10m"),
            ("1d", 86_400_000, "24h"),
            ("36h", 129_600_000, "36h"),
            ("7d", 604_800_000, "7d"),
            ("0s", 0, "0s"),
            (" 5 S ", 5000, "5s"),
        ];
        for (text, millis, shown) in table {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text).unwrap(), duration, "{text}");
            assert_eq!(show_duration(duration), shown);
            assert_eq!(parse_duration(shown).unwrap(), duration);
        }
    }

    #[test]
    fn a_duration_without_a_unit_is_refused_with_the_unit_to_add() {
        let refusal = parse_duration("30").unwrap_err();
        assert_eq!(refusal.why(), "a duration needs a unit");
        let hint = "add the unit: `30s` for seconds, `30ms` for milliseconds";
        assert_eq!(refusal.hints().collect::<Vec<_>>(), [hint]);
        let refused = [
            "",
            "s",
            "-1s",
            "1.5s",
            "1h30m",
            "2w",
            "99999999999999999999s",
            "30 seconds",
        ];
        for text in refused {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_of_bytes_with_or_without_a_unit() {
        let table = [
            ("0", 0, "0B"),
            ("1000", 1000, "1KB"),
            ("1023B", 1023, "1023B"),
            ("64KiB", 65_536, "64KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("8MB", 8_000_000, "8MB"),
            ("1gib", 1 << 30, "1GiB"),
        ];
        for (text, bytes, shown) in table {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
            assert_eq!(parse_size(shown).unwrap(), bytes);
        }
        for text in ["", "MiB", "8M", "1.5MiB", "-1", "99999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(show_size(1 << 20), "1MiB");
        assert_eq!(show_size(0), "0B");
        assert_eq!(show_size(100 << 20), "100MiB");
    }
}
