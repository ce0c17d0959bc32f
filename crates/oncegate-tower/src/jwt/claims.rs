//! The members of a token's JSON object, with those that stand in it twice noticed.
//!
//! A parser that keeps the last of two members, behind one that keeps the first, would see another principal than
//! the one that signed (RFC 8725, 2.7). So neither counts.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oncegate::clock::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::REPEATED;
use crate::token::TokenError;

/// What a token says.
pub(super) struct Claims {
    members: Vec<(String, Value)>,
    /// Whether a name is there more than once, however it is spelt.
    repeated: bool,
}

impl Claims {
    /// Reads the claims of `HEADER.CLAIMS`, both in base64url; nothing if they are no JSON object.
    pub(super) fn of(message: &str) -> Option<Self> {
        let (_, encoded) = message.split_once('.')?;
        let document = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        serde_json::from_slice(&document).ok()
    }

    /// The same, if no name is there more than once.
    pub(super) fn without_repetition(self) -> Result<Self, TokenError> {
        if self.repeated {
            return Err(REPEATED);
        }
        Ok(self)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.members.iter().map(|(name, value)| (name, value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.all()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// A NumericDate: seconds, with or without a fraction. One past the year 9999 is a number of milliseconds, or a
    /// token for ever; neither is what its issuer meant.
    pub(super) fn instant(
        &self,
        name: &str,
        bad: TokenError,
    ) -> Result<Option<Timestamp>, TokenError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let seconds = value.as_f64().filter(|it| (0.0..=SECONDS_MAX).contains(it));
        let since = Duration::from_secs_f64(seconds.ok_or(bad)?);
        Ok(Some(Timestamp::default().after(since)))
    }

    /// Whether `aud`, a string or a list of them, names one of `audiences`.
    pub(super) fn is_for_one_of(&self, audiences: &[String]) -> bool {
        let known = |value: &Value| {
            let name = value.as_str();
            name.is_some_and(|name| audiences.iter().any(|known| known == name))
        };
        match self.get("aud") {
            Some(Value::Array(listed)) => listed.iter().any(known),
            Some(one) => known(one),
            None => false,
        }
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::new();
        let mut repeated = false;
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            repeated |= members.iter().any(|(known, _)| *known == name);
            members.push((name, value));
        }
        Ok(Claims { members, repeated })
    }
}

/// The end of the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;
