//! Stripe's own Node library, from npm: installed once, into a folder of the build.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{program, run, run_for};

/// A folder of modules that has what is needed.
pub(crate) struct Node {
    folder: PathBuf,
}

impl Node {
    /// Installs what is missing; another test that does so at this moment is waited for.
    pub(crate) async fn ready() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("test-tools/node");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("install.lock")).unwrap();
        // This blocks the thread, which is this test's own.
        lock.lock().unwrap();
        let node = Self { folder };
        let mark = node.folder.join("installed");
        if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == PACKAGE) {
            return node;
        }
        let mut npm = program("npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
        ])
        .arg(&node.folder)
        .arg(PACKAGE);
        let ended = run_for(INSTALL_TIMEOUT, npm).await;
        let said = &ended.stderr;
        assert_eq!(
            ended.code,
            Some(0),
            "{said}; run `make setup`, and see that npm's registry can be reached"
        );
        std::fs::write(mark, PACKAGE).unwrap();
        node
    }

    /// Runs a script of this folder to its end: what it printed.
    pub(crate) async fn script(&self, name: &str, argument: &str) -> String {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness");
        let mut node = program("node");
        node.env("NODE_PATH", self.folder.join("node_modules"))
            .arg(scripts.join(name))
            .arg(argument);
        let ended = run(node).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }
}

/// The newest, as of November 2026, that runs on the Node of Debian 12.
const PACKAGE: &str = "stripe@22.6.2";
const INSTALL_TIMEOUT: Duration = Duration::from_secs(240);
