//! Rules under contention: whatever the interleaving, one wins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use event_listener::Event;
use parking_lot::Mutex;

use super::{BlockOn, Harness, complete, id, join, new_record, owner, take_over};
use crate::record::{OwnerId, Record};
use crate::store::{BoxFuture, Expect, Insert, Store, StoreResult, Update};

/// M-10, within one task: all inserts are under way before one is answered.
pub async fn one_insert_wins_among_many_tasks(harness: Harness) {
    for round in 0..ROUNDS {
        let inserts = (0..TASKS).map(|n| harness.store.insert(new_record(id(round), owner(n))));
        assert_one_winner(join(inserts.collect()).await);
    }
}

/// M-10, across threads.
pub async fn one_insert_wins_among_many_threads(harness: Harness) {
    for round in 0..ROUNDS {
        let step = move |store: Arc<dyn Store>, n: u8| -> BoxFuture<'static, _> {
            Box::pin(async move { store.insert(new_record(id(round), owner(n))).await })
        };
        assert_one_winner(on_threads(&harness.store, harness.block_on, step).await);
    }
}

/// A take-over that everybody tries after having seen the same unknown record.
pub async fn one_take_over_wins_among_many_threads(harness: Harness) {
    let seen = harness.marked_unknown(id(1), owner(200)).await;
    let expect = Expect {
        owner: seen.owner,
        revision: Some(seen.revision),
    };
    let step = move |store: Arc<dyn Store>, n: u8| -> BoxFuture<'static, _> {
        Box::pin(async move { store.update(id(1), expect, take_over(owner(n))).await })
    };
    let answers = on_threads(&harness.store, harness.block_on, step).await;
    let mut winner: Option<Record> = None;
    for answer in answers {
        if let Update::Applied(record) = answer.expect("the store takes an update").value {
            assert!(
                winner.is_none(),
                "two take-overs won over the same revision"
            );
            winner = record;
        }
    }
    let winner = winner.expect("one take-over wins");
    harness.assert_stands(&winner).await;
}

/// A lost answer makes an owner insert again while its first insert is still under way.
pub async fn an_owner_that_races_itself_creates_one_record(harness: Harness) {
    let inserts = (0..TASKS).map(|_| harness.store.insert(new_record(id(1), owner(1))));
    let answers = join(inserts.collect()).await;
    let records: Vec<Record> = answers.into_iter().map(created).collect();
    assert!(
        records.windows(2).all(|pair| pair[0] == pair[1]),
        "not one record: {records:?}"
    );
}

/// Both repeats of a completion say "applied", whichever came first.
pub async fn an_owner_that_completes_twice_at_once_completes_once(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let expect = Expect {
        owner: owner(1),
        revision: None,
    };
    let step = move |store: Arc<dyn Store>, n: u8| -> BoxFuture<'static, _> {
        Box::pin(async move { store.update(id(1), expect, complete(&[n])).await })
    };
    let answers = on_threads(&harness.store, harness.block_on, step).await;
    let stands = harness.get(record.id).await;
    for answer in answers {
        let update = answer.expect("the store takes an update").value;
        assert_eq!(
            update,
            Update::Applied(stands.clone()),
            "two outcomes for one execution"
        );
    }
}

fn assert_one_winner(answers: Vec<StoreResult<Insert>>) {
    let (mut created, mut told): (Vec<OwnerId>, Vec<OwnerId>) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer.expect("the store takes an insert").value {
            Insert::Created(record) => created.push(record.owner),
            Insert::Exists(record) => told.push(record.owner),
        }
    }
    assert_eq!(
        created.len(),
        1,
        "the inserts of {created:?} were all answered `created`"
    );
    assert!(
        told.iter().all(|owner| *owner == created[0]),
        "losers were told another record"
    );
}

fn created(answer: StoreResult<Insert>) -> Record {
    match answer.expect("the store takes an insert").value {
        Insert::Created(record) => record,
        Insert::Exists(record) => panic!("an owner was told of its own record: {record:?}"),
    }
}

/// Takes one step on each of many threads, all at once. The calling task goes on being run meanwhile, so that a
/// store whose connection lives on it is not starved.
async fn on_threads<T: Send + 'static>(
    store: &Arc<dyn Store>,
    block_on: BlockOn,
    step: impl Fn(Arc<dyn Store>, u8) -> BoxFuture<'static, T> + Clone + Send + Sync + 'static,
) -> Vec<T> {
    let gathered = Arc::new(Gathered {
        answers: Mutex::default(),
        running: AtomicUsize::new(usize::from(THREADS)),
        ended: Event::new(),
    });
    let gate = Arc::new(AtomicUsize::new(usize::from(THREADS)));
    for n in 0..THREADS {
        let (store, step, gate) = (Arc::clone(store), step.clone(), Arc::clone(&gate));
        let ended = Ended(Arc::clone(&gathered));
        thread::spawn(move || {
            // A gate without a lock: all threads pass it within the same instant.
            gate.fetch_sub(1, Ordering::SeqCst);
            while gate.load(Ordering::SeqCst) > 0 {
                thread::yield_now();
            }
            let gathered = Arc::clone(&ended.0);
            block_on(Box::pin(async move {
                let answer = step(store, n).await;
                gathered.answers.lock().push(answer);
            }));
            drop(ended);
        });
    }
    gathered.all(usize::from(THREADS)).await
}

struct Gathered<T> {
    answers: Mutex<Vec<T>>,
    running: AtomicUsize,
    ended: Event,
}

impl<T> Gathered<T> {
    /// Waits until all threads have ended, and answers what they left.
    async fn all(&self, threads: usize) -> Vec<T> {
        loop {
            let ended = self.ended.listen();
            if self.running.load(Ordering::SeqCst) == 0 {
                let answers = std::mem::take(&mut *self.answers.lock());
                assert_eq!(
                    answers.len(),
                    threads,
                    "a thread panicked: see its message above"
                );
                return answers;
            }
            ended.await;
        }
    }
}

/// Says that a thread has ended, even if it panicked.
struct Ended<T>(Arc<Gathered<T>>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify(usize::MAX);
    }
}

const ROUNDS: u8 = 20;
const TASKS: u8 = 50;
const THREADS: u8 = 8;
