//! What fuzzing found worth keeping stays found: a panic here names the file that made it.

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use oncegate_fuzz::{Choices, TARGETS, Target};

#[test]
fn every_key_of_the_corpus_keeps_the_promises() {
    replay("key");
}

#[test]
fn every_json_body_of_the_corpus_keeps_the_promises() {
    replay("json");
}

#[test]
fn every_multipart_body_of_the_corpus_keeps_the_promises() {
    replay("multipart");
}

#[test]
fn every_stored_response_of_the_corpus_keeps_the_promises() {
    replay("response");
}

#[test]
fn every_configuration_of_the_corpus_keeps_the_promises() {
    replay("config");
}

#[test]
fn every_path_of_the_corpus_keeps_the_promises() {
    replay("path");
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folders = fs::read_dir(corpora()).expect("the corpora are there");
    let mut folders: Vec<_> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort_unstable();
    let mut targets = TARGETS.map(|target| target.name);
    targets.sort_unstable();
    assert_eq!(folders, targets);
}

/// Each input, and each near to it: half of it, and with one byte another one.
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let files = fs::read_dir(corpora().join(name)).expect("the corpus is there");
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= CORPUS_MIN, "{name} has a corpus");
    for file in files {
        let input = fs::read(&file).unwrap();
        holds(target, &input, &format!("{}", file.display()));
        let mut choices = Choices::from_input(&input);
        for _ in 0..NEAR_INPUTS {
            let mut near = input.clone();
            if choices.once_in(2) {
                near.truncate(choices.below(near.len()));
            } else if !near.is_empty() {
                let at = choices.below(near.len());
                near[at] = u8::try_from(choices.below(256)).unwrap();
            }
            holds(
                target,
                &near,
                &format!(
                    "{:?}, near to {}",
                    near.escape_ascii().to_string(),
                    file.display()
                ),
            );
        }
    }
}

fn holds(target: &Target, input: &[u8], what: &str) {
    let held = catch_unwind(|| (target.run)(input));
    assert!(held.is_ok(), "{} does not hold for {what}", target.name);
}

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A corpus that was lost in a merge would make its test pass.
const CORPUS_MIN: usize = 10;
const NEAR_INPUTS: usize = 8;
