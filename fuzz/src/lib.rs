//! What our parsers must hold for any input: a function each, that panics where they do not.
//!
//! There is one copy of every target. libFuzzer calls it with inputs that it makes up (`libfuzzer/`, `make fuzz`); a
//! test calls it with every file of `corpus/`, so that what was found once is looked for by `cargo test` for ever.
//!
//! Each target judges by something that was not made from the code under test: a second, slow and simple reading of
//! the same text, or a change to the input of which the effect is known.

mod choice;
mod config;
mod json;
mod key;
mod multipart;
mod path;
mod response;

pub use choice::Choices;

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Judges one input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "key",
        run: key::run,
    },
    Target {
        name: "json",
        run: json::run,
    },
    Target {
        name: "multipart",
        run: multipart::run,
    },
    Target {
        name: "response",
        run: response::run,
    },
    Target {
        name: "config",
        run: config::run,
    },
    Target {
        name: "path",
        run: path::run,
    },
];
