//! Calls one target, which the variable `TARGET` names, with what libFuzzer makes up.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use oncegate_fuzz::{TARGETS, Target};

fuzz_target!(
    init: {
        chosen();
    },
    |input: &[u8]| (chosen().run)(input)
);

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("TARGET").unwrap_or_default();
        let found = TARGETS.into_iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("TARGET has to be one of {:?}", TARGETS.map(|it| it.name)))
    })
}
