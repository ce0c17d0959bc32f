//! `kill -9`, for real: this test binary runs itself again as a child that writes, kills it, and
//! looks.
//!
//! The child says each step on its standard output: before it tries a claim (`T`), and once the
//! store has answered: claimed (`C`), completed (`D`), released (`R`). What it said after an answer
//! must be there, whatever happened after that; nothing may be there that it never tried.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use oncegate::record::RecordState;
use oncegate::store::{Change, Filter, Inspect as _, Update};
use oncegate::testing::SplitMix64;
use oncegate_stores::{FileOpenError, FileStore};

use crate::harness::{Place, block_on, claim, complete, get, id, response, update};

/// How the child is told which file to write, and at which number to begin.
const CHILD_PATH: &str = "ONCEGATE_TEST_CHILD_PATH";
const CHILD_FROM: &str = "ONCEGATE_TEST_CHILD_FROM";

/// Keys that the child works on at once.
const TASKS: usize = 32;

/// Numbers that one child may use.
const NUMBERS_A_CHILD: u64 = 1_000_000;

const KILLS: u64 = 20;

/// What the parent knows of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Tried,
    Claimed,
    Completed,
    Released,
}

/// The child's part. In an ordinary run there is nothing to do for it.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_PATH) else {
        return;
    };
    let from: u64 = std::env::var(CHILD_FROM).unwrap().parse().unwrap();
    let store = Arc::new(FileStore::open(path).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS as u64)
            .map(|task| tokio::spawn(write_for_ever(Arc::clone(&store), from + task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Every fifth claim is released, every seventh left in flight.
async fn write_for_ever(store: Arc<FileStore>, from: u64) {
    for number in (from..from + NUMBERS_A_CHILD).step_by(TASKS) {
        say('T', number);
        claim(&*store, number).await;
        say('C', number);
        if number % 5 == 0 {
            let released = update(&*store, number, Change::Release).await.unwrap();
            assert_eq!(released, Update::Applied(None));
            say('R', number);
        } else if number % 7 != 0 {
            update(&*store, number, complete(&body(number)))
                .await
                .unwrap();
            say('D', number);
        }
    }
}

fn body(number: u64) -> Vec<u8> {
    number
        .to_be_bytes()
        .repeat(1 + usize::try_from(number % 300).unwrap())
}

/// One write, so that no line is torn by the kill.
fn say(what: char, number: u64) {
    let line = format!("#{what}{number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn spawn_child(place: &Place, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::a_child_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD_PATH, place.path())
        .env(CHILD_FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Hears the child out until it has said `lines` things, kills it, and hears what was still in the
/// pipe.
fn hear_and_kill(mut child: Child, lines: u64, said: &mut HashMap<u64, Said>) {
    let mut heard = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test harness of the child says things too.
        let Some(rest) = line.strip_prefix('#') else {
            continue;
        };
        let number = rest[1..].parse().unwrap();
        let what = match &rest[..1] {
            "T" => Said::Tried,
            "C" => Said::Claimed,
            "D" => Said::Completed,
            "R" => Said::Released,
            other => panic!("the child said {other}"),
        };
        said.insert(number, what);
        heard += 1;
        if heard == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        heard >= lines,
        "the child ended by itself after {heard} of {lines} lines"
    );
}

/// Everything answered is there, and nothing contradicts what was said.
fn check(place: &Place, said: &HashMap<u64, Said>) {
    let store = FileStore::open(place.path()).unwrap();
    block_on(async {
        let mut standing = 0;
        for (number, said) in said {
            let record = get(&store, *number).await;
            standing += usize::from(record.is_some());
            check_one(*number, *said, record.map(|record| record.state));
        }
        assert_eq!(
            count(&store).await,
            standing,
            "something stands that was never tried"
        );
    });
}

fn check_one(number: u64, said: Said, stands: Option<RecordState>) {
    let completed = |state: &RecordState| match state {
        RecordState::Completed {
            response: stored, ..
        } => *stored == response(&body(number)),
        RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => false,
    };
    let unknown = |state: &Option<RecordState>| matches!(state, Some(RecordState::Unknown { .. }));
    let released = number.is_multiple_of(5) && stands.is_none();
    let fits = match said {
        // The claim may have been stored, or not, or the next step too.
        Said::Tried => {
            stands.is_none() || unknown(&stands) || stands.as_ref().is_some_and(completed)
        }
        // It must stand, unless its release was stored but not said.
        Said::Claimed => released || unknown(&stands) || stands.as_ref().is_some_and(completed),
        Said::Completed => stands.as_ref().is_some_and(completed),
        Said::Released => stands.is_none(),
    };
    assert!(
        fits,
        "{number} was said to be {said:?}, but there is {stands:?}"
    );
}

async fn count(store: &FileStore) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store
            .list(Filter::default(), after, 1_000)
            .await
            .unwrap()
            .value;
        count += page.records.len();
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}

#[test]
fn whatever_was_answered_is_there_after_kill_9() {
    let seed = 0x0ce6_a7e5_u64;
    println!("SEED={seed}");
    let mut random = SplitMix64::new(seed);
    let place = Place::new();
    let mut said = HashMap::new();
    for round in 0..KILLS {
        let child = spawn_child(&place, 1 + round * NUMBERS_A_CHILD);
        hear_and_kill(child, 1 + random.next_u64() % 3_000, &mut said);
        check(&place, &said);
    }
    let completed = said
        .values()
        .filter(|said| **said == Said::Completed)
        .count();
    println!(
        "{} keys, {completed} of them said to be completed",
        said.len()
    );
}

#[test]
fn a_file_that_another_process_has_open_is_refused_until_it_dies() {
    let place = Place::new();
    let mut child = spawn_child(&place, 1);
    // Once it says something it has the file.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with('#')));
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, FileOpenError::Locked { .. }), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let store = FileStore::open(place.path()).unwrap();
    assert!(block_on(oncegate::Store::get(&store, id(1))).is_ok());
}
