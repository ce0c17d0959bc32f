//! What a package needs of the binary: manual pages, completions, a word to the service manager, a configuration.

use std::path::Path;
use std::time::Duration;

use clap::{Command, CommandFactory as _};
use oncegate_cli::command::CommandLine;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::harness::{oncegate, program, run, within};

#[tokio::test]
async fn every_subcommand_has_its_manual_page_and_every_flag_stands_there() {
    let folder = TempDir::new().unwrap();
    let written = oncegate(&["man", folder.path().to_str().unwrap()]).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    let mut pages = 0;
    each(&mut |path, command| {
        let file = folder.path().join(format!("{}.1", path.join("-")));
        let page =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let page = page.replace('\\', "");
        assert!(
            page.contains(".SH EXIT STATUS") && page.contains(".SH NAME"),
            "{file:?}"
        );
        for flag in flags(command) {
            assert!(page.contains(&flag), "{file:?} does not know {flag}");
        }
        pages += 1;
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), pages);
}

#[tokio::test]
async fn the_completions_of_each_shell_know_every_subcommand_and_every_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = oncegate(&["completions", shell]).await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        each(&mut |path, command| {
            assert!(
                printed.stdout.contains(path.last().unwrap()),
                "{shell}: {path:?}"
            );
            for flag in flags(command) {
                // fish writes `-l config` for `--config`.
                let plain = if shell == "fish" {
                    flag.replace("--", "-l ")
                } else {
                    flag
                };
                assert!(printed.stdout.contains(&plain), "{shell}: {path:?} {plain}");
            }
        });
    }
}

/// A real shell takes the script, and completes with it.
#[tokio::test]
async fn a_shell_completes_what_we_printed() {
    let binary = program_path();
    let script = format!(
        "source <({binary} completions bash); COMP_WORDS=(oncegate serve --ups); COMP_CWORD=2; \
         _oncegate oncegate --ups serve; echo \"${{COMPREPLY[*]}}\""
    );
    let mut bash = program("bash");
    bash.args(["--norc", "-c", &script]);
    let completed = run(bash).await;
    assert_eq!(completed.stdout.trim(), "--upstream", "{completed:?}");
}

#[tokio::test]
async fn a_service_manager_is_told_when_requests_are_taken_and_when_no_more_are() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut command = program(program_path());
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--store",
        "memory:",
    ]);
    command.args([
        "--upstream",
        "http://127.0.0.1:9",
        "--set",
        "drain_timeout=7m",
    ]);
    command.env("NOTIFY_SOCKET", &socket);
    let mut child = command.spawn().unwrap();
    assert_eq!(within("the word", heard(&manager)).await, "READY=1");
    let id = child.id().expect("it runs").to_string();
    let mut kill = program("kill");
    kill.args(["-TERM", &id]);
    assert_eq!(run(kill).await.code, Some(0));
    let told = within("the last word", heard(&manager)).await;
    // Seven minutes to drain, and ten seconds to end.
    assert_eq!(told, "STOPPING=1\nEXTEND_TIMEOUT_USEC=430000000");
    let status = timeout(Duration::from_secs(60), child.wait()).await;
    assert!(status.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn the_configuration_that_is_packaged_is_right() {
    let file = root().join("packaging/oncegate.toml");
    let checked = oncegate(&["config", "check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let unit = text("packaging/systemd/oncegate.service");
    assert!(
        unit.contains("ExecStart=/usr/bin/oncegate serve --config /etc/oncegate/oncegate.toml\n")
    );
    let manifest = text("crates/oncegate-cli/Cargo.toml");
    assert!(manifest.contains("[\"../../packaging/oncegate.toml\", \"etc/oncegate/\""));
}

/// Every command that is not hidden, with the words that call it.
fn each(look: &mut impl FnMut(&[String], &Command)) {
    fn walk(path: &[String], command: &Command, look: &mut impl FnMut(&[String], &Command)) {
        let mut path = path.to_vec();
        path.push(command.get_name().to_owned());
        look(&path, command);
        for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            walk(&path, below, look);
        }
    }
    walk(&[], &CommandLine::command(), look);
}

fn flags(command: &Command) -> impl Iterator<Item = String> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    shown.filter_map(|it| Some(format!("--{}", it.get_long()?)))
}

async fn heard(manager: &UnixDatagram) -> String {
    let mut word = [0; 256];
    let length = manager.recv(&mut word).await.unwrap();
    String::from_utf8_lossy(&word[..length])
        .trim_end()
        .to_owned()
}

fn program_path() -> &'static str {
    env!("CARGO_BIN_EXE_oncegate")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
