//! The real binary on a real Redis: several proxies, one truth.

mod costs;
mod faults;
mod server;
mod sharing;
