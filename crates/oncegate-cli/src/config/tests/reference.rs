//! `docs/configuration.md` and the table of settings say the same.

use std::fmt::Write as _;

use super::super::Config;
use super::super::reload::FOLLOWED;
use super::super::setting::{Place, Setting};
use super::super::settings::{settings, settings_at};
use super::super::value::Value;
use super::load;

const REFERENCE: &str = include_str!("../../../../../docs/configuration.md");

/// The lines between two lines of three backquotes, the first of which also says `toml`.
fn complete_file() -> &'static str {
    let (_, rest) = REFERENCE.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn row(setting: &Setting) -> String {
    let config = Config::default();
    let default = match setting.show(&config, config.defaults()) {
        Some(value) => format!("`{value}`"),
        None if setting.place == Place::Route => "must be given".to_owned(),
        None => "not set".to_owned(),
    };
    let variable = match setting.place {
        Place::Route => "none".to_owned(),
        Place::Top | Place::Defaults | Place::Policy => format!("`{}`", setting.variable()),
    };
    let Setting {
        name, takes, doc, ..
    } = setting;
    format!("| `{name}` | {default} | {takes} | {variable} | {doc} |\n")
}

/// To bring the page up to date, paste what this prints.
#[test]
fn the_reference_lists_every_setting_with_its_default_and_no_other() {
    let tables = [Place::Top, Place::Defaults, Place::Route].map(|place| {
        let own = settings().filter(|setting| match setting.place {
            Place::Top | Place::Defaults | Place::Route => setting.place == place,
            Place::Policy => place == Place::Defaults,
        });
        own.fold(String::new(), |mut rows, setting| {
            write!(rows, "{}", row(setting)).unwrap();
            rows
        })
    });
    let listed: String = REFERENCE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(
        listed == tables.concat(),
        "expected:\n{}\nfound:\n{listed}",
        tables.join("\n")
    );
}

#[test]
fn the_complete_file_of_the_reference_is_valid_and_gives_every_setting_its_default() {
    let file = complete_file();
    let (server_and_defaults, _) = file.split_once("[[route]]").unwrap();
    let config = load(server_and_defaults, &[], &[]).unwrap();
    assert_eq!(
        Config {
            warnings: Vec::new(),
            ..config
        },
        Config::default()
    );
    for setting in settings().filter(|setting| !UNSET.contains(&setting.name)) {
        let line = format!("\n{} = ", setting.name);
        assert!(
            format!("\n{file}").contains(&line),
            "{} is missing",
            setting.name
        );
    }
    assert!(load(file, &[], &[]).is_ok());
}

#[test]
fn the_example_of_each_setting_works() {
    for setting in settings() {
        let Setting { name, example, .. } = setting;
        // Those that need another setting, or a file that is not there.
        let after = match *name {
            "reconcile" => "on_unknown = 'reconcile'",
            name if UNSET.contains(&name) => continue,
            _ => "",
        };
        let place = match setting.place {
            Place::Top => "",
            Place::Defaults | Place::Policy => "[defaults]",
            Place::Route => "[[route]]",
        };
        let file = format!("{place}\n{name} = {example}\n{after}");
        assert!(load(&file, &[], &[]).is_ok(), "{file}");
        assert_eq!(Value::of_toml(example).to_string(), *example);
        // The same from the environment.
        if setting.place != Place::Route {
            let text = Value::of_toml(example).to_text();
            let variables = [
                (&*setting.variable(), &*text),
                ("ONCEGATE_ON_UNKNOWN", "reconcile"),
            ];
            let needed = if *name == "reconcile" {
                &variables[..]
            } else {
                &variables[..1]
            };
            load("", needed, &[]).unwrap();
        }
    }
}

#[test]
fn no_setting_is_defined_twice_and_every_one_is_described() {
    let mut names: Vec<_> = settings().map(|setting| setting.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(
        settings_at(Place::Top).count() + settings_at(Place::Defaults).count() + 1,
        count
    );
    for setting in settings() {
        assert!(
            !setting.doc.is_empty() && !setting.takes.is_empty(),
            "{}",
            setting.name
        );
    }
}

#[test]
fn the_reference_says_what_follows_a_reload() {
    let (_, section) = REFERENCE
        .split_once("## A new configuration without a restart")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for name in FOLLOWED {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
}

/// Files: they have no default to write down.
const UNSET: [&str; 8] = [
    "secret_file",
    "tls_cert_file",
    "tls_key_file",
    "upstream_ca_file",
    "upstream_client_cert_file",
    "upstream_client_key_file",
    "jwt_secret_file",
    "jwt_jwks_file",
];
