//! What a setting is: the row of the table in `settings`.
//!
//! Promises: every way to give a setting goes through [`Setting::read`], so that a value means the
//! same in the file, in the environment and behind a flag.

use http::Method;
use oncegate::Policy;
use oncegate::policy::Reconcile;

use super::error::{Finding, Medium, Origin};
use super::in_force::Config;
use super::refusal::Refusal;
use super::value::{Shape, Value};
use crate::routes::Route;

/// A setting, defined in one place for everything that has to do with it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// One line: what it does.
    pub(super) doc: &'static str,
    /// What values it takes: the end of "it takes ...".
    pub(super) takes: &'static str,
    /// A value that works, as TOML.
    pub(super) example: &'static str,
    pub(super) place: Place,
    pub(super) shape: Shape,
    pub(super) access: Access,
}

/// Where in the file a setting stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Above the first table.
    Top,
    /// In `[defaults]`.
    Defaults,
    /// In `[defaults]`, and in each `[[route]]` for the requests that it matches.
    Policy,
    /// In `[[route]]`.
    Route,
}

/// What a setting is part of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    Config {
        read: fn(&mut Config, &Value) -> Result<(), Refusal>,
        show: fn(&Config) -> Option<Value>,
    },
    Policy {
        read: fn(&mut PolicyDraft, &Value) -> Result<(), Refusal>,
        show: fn(&Policy) -> Option<Value>,
    },
    Match {
        read: fn(&Value) -> Result<Match, Refusal>,
        show: fn(&Route) -> Value,
    },
}

/// A policy in the making: `on_unknown` and `reconcile` become one when both are known.
#[derive(Clone, Debug)]
pub(super) struct PolicyDraft {
    pub(super) policy: Policy,
    pub(super) on_unknown: Choice,
    pub(super) reconcile: Option<Reconcile>,
}

/// The setting `on_unknown`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Choice {
    Refuse,
    Reexecute,
    Reconcile,
}

/// The setting `match`: which requests a route is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Match {
    pub(super) methods: Option<Vec<Method>>,
    pub(super) pattern: String,
}

/// A setting that was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Setting {
    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// What it is in this configuration, with this policy.
    pub(super) fn show(&self, config: &Config, policy: &Policy) -> Option<Value> {
        match self.access {
            Access::Config { show, .. } => show(config),
            Access::Policy { show, .. } => show(policy),
            Access::Match { .. } => None,
        }
    }

    /// The setting with a value, as one would have to write it there.
    fn written(&self, medium: Medium, value: &Value) -> String {
        match medium {
            Medium::File => format!("{} = {value}", self.name),
            Medium::Environment => format!("{}={}", self.variable(), value.to_text()),
            Medium::Set => format!("--set {}={}", self.name, value.to_text()),
            Medium::Flag => format!("--{} {}", self.name.replace('_', "-"), value.to_text()),
        }
    }
}

impl Place {
    /// Whether a setting of this place may stand in that one.
    pub(super) fn allows(self, place: Self) -> bool {
        match self {
            Self::Top | Self::Defaults | Self::Route => self == place,
            Self::Policy => matches!(place, Self::Defaults | Self::Route | Self::Policy),
        }
    }

    /// How a person would say it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Top => "above the first table",
            Self::Defaults => "in `[defaults]`",
            Self::Policy => "in `[defaults]` or `[[route]]`",
            Self::Route => "in `[[route]]`",
        }
    }
}

impl Given {
    /// The error that this value is, and why.
    pub(super) fn refused(&self, refusal: &Refusal) -> Finding {
        let Self {
            setting,
            value,
            origin,
        } = self;
        let written = setting.written(origin.medium, value);
        let mut help: Vec<String> = refusal.hints().map(str::to_owned).collect();
        if refusal.wants_example() {
            let example = Value::of_toml(setting.example);
            let example = setting.written(origin.medium, &example);
            help.push(format!(
                "`{}` takes {}: `{example}`",
                setting.name, setting.takes
            ));
        }
        Finding::new(format!("cannot use `{written}`: {}", refusal.why()))
            .with_help(&help.join("\n"))
            .at(origin)
    }
}

impl PolicyDraft {
    /// A draft of this policy, which asks nobody what became of anything.
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            on_unknown: Choice::Refuse,
            reconcile: None,
        }
    }
}

/// What all variables start with.
pub(super) const PREFIX: &str = "ONCEGATE_";
