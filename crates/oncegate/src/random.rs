//! Random bytes for owners, fetched from the operating system for many of them at a time.
//!
//! Promises: bytes are given away once, and each thread has its own. A system call for each owner would be one of the
//! dearest steps of a request. Deliberately absent: a generator of our own.
//!
//! A process that forks takes what was fetched into both halves: fork before the first request, as every runtime with
//! threads demands anyway.

use std::cell::RefCell;

/// Sixteen bytes that nobody else has.
///
/// # Panics
/// If the operating system has no randomness to give.
pub(crate) fn sixteen_bytes() -> [u8; 16] {
    FETCHED.with_borrow_mut(|fetched| {
        if fetched.left == 0 {
            getrandom::fill(fetched.pieces.as_flattened_mut())
                .expect("the operating system gives randomness");
            fetched.left = PIECES;
        }
        fetched.left -= 1;
        std::mem::take(&mut fetched.pieces[fetched.left])
    })
}

struct Fetched {
    pieces: [[u8; 16]; PIECES],
    left: usize,
}

thread_local! {
    static FETCHED: RefCell<Fetched> = const {
        RefCell::new(Fetched {
            pieces: [[0; 16]; PIECES],
            left: 0,
        })
    };
}

/// As many as the operating system gives in one go without being interrupted: 256 bytes.
const PIECES: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_bytes_are_given_away_twice_on_one_thread_or_on_several() {
        let many = || (0..5 * PIECES).map(|_| sixteen_bytes()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| thread::spawn(many)).collect();
        let mut given = many();
        for thread in threads {
            given.extend(thread.join().unwrap());
        }
        let different: HashSet<_> = given.iter().collect();
        assert_eq!(different.len(), given.len());
        assert!(!different.contains(&[0; 16]));
    }
}
