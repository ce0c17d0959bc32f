//! The scripts, a file for each method, with what they share before them.

use redis::Script;

/// One script for each method.
pub(super) struct Scripts {
    pub(super) insert: Script,
    pub(super) update: Script,
    pub(super) get: Script,
    pub(super) purge: Script,
}

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("scripts/prelude.lua"),
            include_str!($file)
        ))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            insert: script!("scripts/insert.lua"),
            update: script!("scripts/update.lua"),
            get: script!("scripts/get.lua"),
            purge: script!("scripts/purge.lua"),
        }
    }
}
