//! A fleet under fire: three real proxies on one store, of which one after another is killed, stopped and started again,
//! while the store is paused and restarted, and clients go on with colliding keys.
//!
//! Two logs are kept, by the origin and by the clients. A checker of its own reads these alone afterwards: it knows the
//! contract, and none of the engine's code. It is seen to fail on forged logs, one for each finding, and on a store
//! that does not ask who writes.

mod checker;
mod fire;
mod forged;
mod load;
mod logs;
mod origin;
mod servers;
mod tally;
mod trials;
mod unfenced;
