//! The real binary, end to end: processes, sockets, files, and other people's programs.
//!
//! What a test counts is always the origin's own book, or the customers that a foreign API lists: never what the
//! proxy says of itself.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod check;
#[cfg(test)]
mod check_reports;
#[cfg(test)]
mod client;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod demo;
mod discovery;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod egress;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod input;
#[cfg(test)]
mod jwt;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod passing;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod send;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stripe_sdk;
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_upstream;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod unknown;
#[cfg(test)]
mod upstream;
