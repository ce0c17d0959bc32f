//! The benches, named by the promise that each guards.

use crate::{engine, layer};

/// Something that is done so many times.
pub struct Bench {
    pub name: &'static str,
    /// How often it is done for a count: as often as it takes for chance to even out.
    pub times: u32,
    pub run: fn(u32),
}

pub const BENCHES: &[Bench] = &[
    Bench {
        name: "unkeyed_passes_layer",
        times: 1_000,
        run: layer::unkeyed_passes,
    },
    Bench {
        name: "fresh_through_layer",
        times: 1_000,
        run: layer::fresh,
    },
    Bench {
        name: "replay_through_layer",
        times: 1_000,
        run: layer::replay,
    },
    Bench {
        name: "begin_complete_memory",
        times: 2_000,
        run: engine::begin_complete,
    },
    Bench {
        name: "replay_memory",
        times: 2_000,
        run: engine::replay,
    },
    Bench {
        name: "fingerprint_json_59_bytes",
        times: 2_000,
        run: engine::fingerprint_small,
    },
    Bench {
        name: "fingerprint_json_100_kilobytes",
        times: 10,
        run: engine::fingerprint_large,
    },
];
