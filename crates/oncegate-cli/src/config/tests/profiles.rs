//! What each profile sets, and that everything that is given wins over it.

use super::super::Profile;
use super::load;

/// `(profile, the settings that it changes, as they print)`; `docs/profiles.md` has them for readers.
const CHANGED: [(&str, &[&str]); 5] = [
    ("oncegate", &[]),
    ("ietf", &["key_syntax = \"strict\""]),
    (
        "stripe",
        &[
            "methods = [\"POST\"]",
            "scope = [\"header:authorization\", \"header:stripe-account\", \"header:stripe-context\"]",
            "tombstones = \"0s\"",
            "on_server_error = \"keep\"",
            "transient_statuses = [409]",
            "mismatch_status = 400",
            "dialect = \"stripe\"",
        ],
    ),
    (
        "adyen",
        &[
            "methods = [\"POST\"]",
            "key_length_max = 64",
            "scope = [\"header:x-api-key\", \"header:authorization\"]",
            "retention = \"7d\"",
            "on_server_error = \"keep\"",
            "dialect = \"adyen\"",
        ],
    ),
    (
        "paypal",
        &[
            "methods = [\"POST\"]",
            "key_header = [\"Paypal-Request-Id\"]",
            "key_length_max = 108",
            "retention = \"45d\"",
            "unknown_retention = \"45d\"",
            "dialect = \"paypal\"",
        ],
    ),
];

#[test]
fn a_profile_sets_what_its_page_says_and_nothing_else() {
    let printed = |profile: &str| load("", &[], &["--profile", profile]).unwrap().print();
    let built_in = printed("oncegate");
    let page = include_str!("../../../../../docs/profiles.md");
    for (profile, changed) in CHANGED {
        let printed = printed(profile);
        let differing: Vec<&str> = printed
            .lines()
            .filter(|line| !built_in.lines().any(|own| own == *line))
            .filter(|line| !line.starts_with("profile = "))
            .collect();
        assert_eq!(differing, changed, "{profile}");
        let section = page
            .split("\n## ")
            .find(|text| text.starts_with(&format!("`{profile}`")));
        let section =
            section.unwrap_or_else(|| panic!("docs/profiles.md has no section for {profile}"));
        for line in changed {
            assert!(
                section
                    .to_ascii_lowercase()
                    .contains(&format!("\n{}\n", line.to_ascii_lowercase())),
                "{profile}: {line}"
            );
        }
    }
}

#[test]
fn a_profile_comes_before_everything_that_is_given() {
    let file = "profile = 'stripe'\n[defaults]\ntombstones = '7d'\n\
                [[route]]\nmatch = '/a'\ndialect = 'problem'\nmismatch_status = 409";
    let config = load(file, &[("ONCEGATE_ON_SERVER_ERROR", "unknown")], &[]).unwrap();
    assert_eq!(config.profile, Profile::Stripe);
    let printed = config.print();
    for line in [
        "tombstones = \"7d\"",
        "on_server_error = \"unknown\"",
        "transient_statuses = [409]",
        "dialect = \"problem\"",
        "mismatch_status = 409",
    ] {
        assert!(
            printed.contains(&format!("\n{line}\n")),
            "{line}: {printed}"
        );
    }
    let syntax = |file, flags: &[&str]| load(file, &[], flags).unwrap().print();
    let strict = "\nkey_syntax = \"strict\"\n";
    assert!(syntax("profile = 'ietf'", &[]).contains(strict));
    assert!(syntax("profile = 'adyen'", &["--profile", "ietf"]).contains(strict));
    let file = "[defaults]\nkey_syntax = 'lenient'";
    assert!(!syntax(file, &["--profile", "ietf"]).contains(strict));
}

#[test]
fn start_up_warns_that_stripes_profile_executes_a_late_retry() {
    let warned = |flags: &[&str]| {
        let config = load("", &[], flags).unwrap();
        config
            .warnings
            .iter()
            .any(|it| it.contains("`tombstones = \"0s\"`"))
    };
    assert!(warned(&["--profile", "stripe"]));
    assert!(!warned(&["--profile", "stripe", "--set", "tombstones=7d"]));
    assert!(!warned(&["--profile", "adyen"]));
}

#[test]
fn what_a_profile_prints_reads_back_as_the_same_configuration() {
    for (profile, _) in CHANGED {
        let config = load("", &[], &["--profile", profile]).unwrap();
        assert_eq!(
            load(&config.print(), &[], &[]).unwrap(),
            config,
            "{profile}"
        );
    }
}
