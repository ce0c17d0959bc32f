//! Profiles: sets of defaults under one name.
//!
//! Deliberately absent: the profiles `stripe`, `adyen` and `paypal`. They change more than
//! settings, so that until they are built, naming one is an error.

use std::fmt;

use oncegate::Policy;
use oncegate::key::KeySyntax;

use super::read::{choice, word};
use super::refusal::Refusal;
use super::value::Value;

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// What `docs/configuration.md` lists.
    #[default]
    Oncegate,
    /// The same, and keys in the syntax of the IETF draft and in no other.
    Ietf,
}

impl Profile {
    pub(super) fn read(value: &Value) -> Result<Self, Refusal> {
        let name = word(value)?;
        if TO_COME.contains(&name) {
            return Err(Refusal::not_yet(&format!("the profile `{name}`")));
        }
        choice(value, &PROFILES)
    }

    /// Changes what it changes.
    pub(super) fn apply(self, policy: &mut Policy) {
        match self {
            Self::Oncegate => {}
            Self::Ietf => policy.key_rules.syntax = KeySyntax::Strict,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oncegate => "oncegate",
            Self::Ietf => "ietf",
        })
    }
}

const PROFILES: [(&str, Profile); 2] = [("oncegate", Profile::Oncegate), ("ietf", Profile::Ietf)];
const TO_COME: [&str; 3] = ["stripe", "adyen", "paypal"];
