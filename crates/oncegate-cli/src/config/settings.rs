//! The table of all settings: names, limits, examples and what each is for.
//!
//! `docs/configuration.md` is this table for readers; a test holds the two together. The values
//! that are built in stand in [`Config::default`] and `Policy::default`, not here.

use std::time::Duration;

use oncegate::Policy;
use oncegate::units::show_duration;

use super::in_force::Config;
use super::refusal::Refusal;
use super::route_match::{read_match, show_match};
use super::setting::{Access, Place, PolicyDraft, Setting};
use super::value::{Shape, Value};

mod execution;
mod keys;
mod limits;
mod quotas;
mod server;
mod tls;
mod tokens;

/// Every setting, in the order in which they are shown.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    let parts = [
        &server::SERVER[..],
        &tls::TLS,
        &tokens::TOKENS,
        &limits::LIMITS,
        &quotas::QUOTAS,
        &ROUTE,
        &keys::KEYS,
        &execution::EXECUTION,
        &server::SHUTDOWN,
    ];
    parts.into_iter().flatten()
}

/// The settings that may stand there.
pub(super) fn settings_at(place: Place) -> impl Iterator<Item = &'static Setting> {
    settings().filter(move |setting| setting.place.allows(place))
}

/// The setting of this name, wherever it stands.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.name == name)
}

static ROUTE: [Setting; 1] = [Setting::new(
    "match",
    Place::Route,
    Shape::Word,
    Access::Match {
        read: read_match,
        show: show_match,
    },
)
.takes("methods and a path pattern", "\"POST,PUT /payments/{id}\"")
.does("which requests the route is for; `{name}` is a segment, `{*rest}` all that follow")];

impl Setting {
    const fn new(name: &'static str, place: Place, shape: Shape, access: Access) -> Self {
        Self {
            name,
            doc: "",
            takes: "",
            example: "",
            place,
            shape,
            access,
        }
    }

    const fn takes(mut self, takes: &'static str, example: &'static str) -> Self {
        self.takes = takes;
        self.example = example;
        self
    }

    const fn does(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    const fn stands(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

type Done = Result<(), Refusal>;

const fn top(
    name: &'static str,
    shape: Shape,
    read: fn(&mut Config, &Value) -> Done,
    show: fn(&Config) -> Option<Value>,
) -> Setting {
    Setting::new(name, Place::Top, shape, Access::Config { read, show })
}

const fn policy(
    name: &'static str,
    shape: Shape,
    read: fn(&mut PolicyDraft, &Value) -> Done,
    show: fn(&Policy) -> Option<Value>,
) -> Setting {
    Setting::new(name, Place::Policy, shape, Access::Policy { read, show })
}

fn set<T>(place: &mut T, read: Result<T, Refusal>) -> Done {
    *place = read?;
    Ok(())
}

fn text(text: &str) -> Option<Value> {
    Some(Value::String(text.to_owned()))
}

fn duration(duration: Duration) -> Option<Value> {
    text(&show_duration(duration))
}

fn integer(number: impl TryInto<i64>) -> Option<Value> {
    number.try_into().ok().map(Value::Integer)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
