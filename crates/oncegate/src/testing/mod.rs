//! What authors of stores, and our own tests, put a store to the proof with. Feature `testing`.
//!
//! * [`store_suite!`] and [`inspect_suite!`]: the contract of a store, one named `#[test]` for each rule.
//! * [`FaultyStore`]: fails, loses replies, delays and hangs at the seam, by plan or by seed.
//! * [`CountingStore`]: counts round trips, so that promises about cost stay true.
//! * [`sim`]: clients, engines and crashes on one thread under one seed, and a checker of executions.
//! * [`UnfencedStore`]: broken on purpose, to see that the checker can fail.
//!
//! Nothing here sleeps or needs a runtime: whoever calls brings the executor.

mod counting;
mod faulty;
mod method;
mod random;
pub mod sim;
pub mod store_suite;
mod unfenced;

pub use counting::CountingStore;
pub use faulty::{Fault, FaultRates, FaultyStore};
pub use method::StoreMethod;
pub use random::SplitMix64;
pub use store_suite::{BlockOn, SuiteStore};
pub use unfenced::UnfencedStore;

pub use crate::{__inspect_suite as inspect_suite, __store_suite as store_suite};
