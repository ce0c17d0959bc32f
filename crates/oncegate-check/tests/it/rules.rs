//! Each rule of the contract is looked at by a case, or it stands written why it cannot be; and the page says so.

use std::fmt::Write;
use std::path::Path;

use oncegate_check::cases;
use oncegate_check::dialect::Fate;
use oncegate_check::policy::discovered;
use oncegate_check::rules::RULES;

#[test]
fn every_rule_is_looked_at_or_says_why_not() {
    let numbers = (1..=43).map(|number| format!("M-{number:02}"));
    assert!(numbers.eq(RULES.iter().map(|rule| rule.id)));
    for rule in RULES {
        assert!(
            rule.cases().next().is_some() || rule.unseen.is_some(),
            "{} has neither a case nor a reason",
            rule.id
        );
    }
}

#[test]
fn cases_name_rules_that_exist() {
    for case in cases::all() {
        for name in case.rules {
            assert!(
                RULES.iter().any(|rule| rule.id == *name),
                "{} names {name}",
                case.id
            );
        }
    }
}

#[test]
fn cases_have_names_of_their_own() {
    let mut ids: Vec<_> = cases::all().map(|case| case.id).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

/// `UPDATE_PAPERS=1 cargo test -p oncegate-check --test it the_page_of_rules` writes it.
#[test]
fn the_page_of_rules_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checked-rules.md");
    let page = page();
    if std::env::var_os("UPDATE_PAPERS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/checked-rules.md is out of date: run this test with UPDATE_PAPERS=1"
    );
}

#[test]
fn the_policy_in_the_papers_is_one() {
    let papers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let papers = std::fs::read_to_string(papers).unwrap();
    let examples = papers.split("```json\n").skip(1);
    let mut policies = examples
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.contains("\"match\""));
    let policy = policies.next().expect("an example of a policy");
    let policy = discovered(policy.as_bytes(), "PUT", "/payments/7");
    let policy = policy.unwrap().expect("a route for it");
    assert_eq!(policy.mismatch, Some(422));
    assert_eq!(policy.server_error, Some(Fate::Released));
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for rule in RULES {
        let cases: Vec<String> = rule.cases().map(|case| format!("`{}`", case.id)).collect();
        // A string takes all that is written to it.
        let _infallible = writeln!(
            page,
            "| {} | {} | {} | {} |",
            rule.id,
            rule.says,
            cases.join(", "),
            rule.unseen.unwrap_or_default()
        );
    }
    page
}

const INTRODUCTION: &str = "\
# The rules, and what the checker sees of them

The rules (M-01 ...) are those of Oncegate's contract; [guarantees.md](guarantees.md) says by which of our own tests each is shown.
`oncegate check` looks at an API from outside, ours or not, and sees what goes over the wire.
This page says which case looks at which rule, and what no case can see.
It is made from the code, and a test holds it to it.

| rule | what it says | cases | what is not seen |
|---|---|---|---|
";
