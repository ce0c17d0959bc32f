//! The bytes of the store were changed or cut while nobody looked: after a power cut, or by a disk that rots.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};

use oncegate::testing::SplitMix64;

use super::must_replay_all;
use super::shim::Faults;
use crate::harness::{Stage, pay, send};

/// M-14: a power cut leaves any part of what was never synced, or none, or garbage. What was answered before is there
/// all the same, and the key whose claim was being written runs once at most.
#[tokio::test]
async fn a_log_that_ends_anywhere_behind_its_last_sync_loses_nothing_that_was_answered() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = SplitMix64::new(seed);
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = faults.under(stage.proxy());
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        let proxy = setup.start().await;
        for number in 0..3 {
            let key = format!("key-{round}-{number}");
            let answer = proxy.send(&pay(&key)).await;
            answer.must_be_executed();
            seen.push((key, answer));
        }
        let torn = format!("torn-{round}");
        faults.hang();
        let (to, request) = (proxy.listen, pay(&torn));
        let asking = tokio::spawn(async move { crate::harness::try_send(to, &request).await });
        faults.hangs().await;
        let unsynced = faults.unsynced();
        assert!(!unsynced.is_empty(), "nothing hangs");
        let setup = proxy.kill().await;
        assert!(asking.await.unwrap().is_err());
        faults.heal();
        tear(&stage, unsynced, &mut random);
        let proxy = setup.start().await;
        must_replay_all(&proxy, &stage, &seen).await;
        let answer = send(proxy.listen, &pay(&torn)).await;
        let executions = stage.origin.executions(&torn);
        match answer.became() {
            "executed" => assert_eq!(executions, 1),
            _ => {
                answer.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
                assert_eq!(executions, 0);
            }
        }
        proxy.stop().await;
    }
}

/// A disk that rots: any byte of the file may have changed while the proxy was down. It is refused at the start, or
/// where it is met; or it struck what means nothing. No key is executed a second time, and no answer is another.
#[tokio::test]
async fn a_byte_that_rots_makes_no_key_run_twice_and_no_answer_change() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = SplitMix64::new(seed);
    let stage = Stage::new().await;
    let mut setup = stage.proxy();
    let proxy = setup.start().await;
    let mut seen = Vec::new();
    for number in 0..ROTTEN_KEYS {
        let key = format!("key-{number}");
        let answer = proxy.send(&pay(&key)).await;
        answer.must_be_executed();
        seen.push((key, answer));
    }
    setup = proxy.stop().await;
    let sound = fs::read(stage.store_file()).unwrap();
    let written = places_written(&sound);
    let (mut refused, mut replayed) = (0, 0);
    for _ in 0..ROTS {
        let mut rotten = sound.clone();
        let place = written[random.index(written.len())];
        rotten[place] ^= 1 << random.below(8);
        fs::write(stage.store_file(), &rotten).unwrap();
        let Ok(proxy) = setup.try_start().await else {
            refused += 1;
            continue;
        };
        for (key, first) in &seen {
            let answer = proxy.send(&pay(key)).await;
            if answer.became() == "replayed" {
                answer.must_replay(first);
                replayed += 1;
            } else {
                assert_eq!(answer.became(), "refused", "byte {place}: {answer:?}");
                refused += 1;
            }
            assert_eq!(stage.origin.executions(key), 1, "byte {place}: {key}");
        }
        setup = proxy.kill().await;
        let _gone = fs::remove_file(stage.folder().join("oncegate.db-wal"));
    }
    println!("{replayed} replayed, {refused} refused");
    assert!(replayed > 0 && refused > 0);
}

/// Where bytes stand that are not zero: most of the file is empty, and rot there shows nothing.
fn places_written(file: &[u8]) -> Vec<usize> {
    let written = file.iter().enumerate().filter(|(_, byte)| **byte != 0);
    written.map(|(place, _)| place).collect()
}

/// Cuts the log off, or fills its end with garbage, from somewhere in `unsynced`.
fn tear(stage: &Stage, unsynced: std::ops::Range<u64>, random: &mut SplitMix64) {
    let path = stage.folder().join("oncegate.db-wal");
    let cut = unsynced.start + random.below(unsynced.end - unsynced.start + 1);
    if random.chance(500) {
        let log = OpenOptions::new().write(true).open(path).unwrap();
        log.set_len(cut).unwrap();
    } else {
        let mut log = fs::read(&path).unwrap();
        let cut = usize::try_from(cut).unwrap();
        for byte in &mut log[cut..] {
            *byte ^= random.next_u64().to_le_bytes()[0];
        }
        fs::write(path, log).unwrap();
    }
}

/// The one that `SEED` names, to see a failure again, or another one each time.
fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

const ROUNDS: u64 = 8;
const ROTTEN_KEYS: u64 = 6;
const ROTS: usize = 40;
