//! The project's papers are held to its code: a page that promises a test that is not there is a lie.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let tests = functions();
    for path in ["docs/guarantees.md", "docs/faults.md"] {
        for name in named(&page(path)) {
            assert!(
                tests.contains(&name),
                "{path} names `{name}`, which no test is called"
            );
        }
    }
}

#[test]
fn every_test_that_the_profiles_name_exists() {
    let tests = functions();
    let named = named(&page("docs/profiles.md"));
    // A code of Stripe's, which only looks like one.
    for name in named
        .iter()
        .filter(|name| *name != "idempotency_key_in_use")
    {
        assert!(
            tests.contains(name),
            "docs/profiles.md names `{name}`, which no test is called"
        );
    }
    assert!(named.len() > 20, "the names are found");
}

#[test]
fn every_rule_has_a_line_in_the_guarantees() {
    let page = page("docs/guarantees.md");
    for rule in 1..=42 {
        let line = format!("| M-{rule:02} |");
        assert_eq!(
            page.matches(&line).count(),
            1,
            "docs/guarantees.md has one line for M-{rule:02}"
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source file is text");
        assert!(
            text.starts_with("//!"),
            "{} opens with what it is",
            path.display()
        );
    }
}

#[test]
fn the_code_map_knows_every_file() {
    let map = page("ARCHITECTURE.md");
    for path in sources()
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
    {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        let known = map.contains(&format!("`{stem}`")) || map.contains(&format!("{stem}.rs`"));
        assert!(
            known || in_tests || ["lib", "mod", "tests"].contains(&stem),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_paper_points_at_a_file_that_is_not_there() {
    for paper in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ] {
        for target in links(&page(paper)) {
            assert!(root().join(&target).exists(), "{paper} links to {target}");
        }
    }
}

/// The names of tests that a page has between backquotes: sentences, so they have several underscores.
fn named(page: &str) -> HashSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let sentences = quoted.filter(|text| {
        text.matches('_').count() >= 3
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    });
    sentences.map(str::to_owned).collect()
}

fn functions() -> HashSet<String> {
    let mut names = HashSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source file is text");
        let after_fn = text.split("fn ").skip(1);
        names.extend(after_fn.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
    }
    names
}

fn links(page: &str) -> Vec<String> {
    let targets = page
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .collect()
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "examples"] {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "the sources are found");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read") {
        let path = entry.expect("a folder of the project can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
