//! The scripts, a file for each method, with what they share before them.

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

/// One script for each method.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) insert: Script,
    pub(super) update: Script,
    pub(super) get: Script,
    pub(super) purge: Script,
}

/// A script, and the name by which a server that has seen it knows it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    sha: String,
}

macro_rules! script {
    ($flags:literal, $file:literal) => {
        Script::new(concat!(
            $flags,
            include_str!("scripts/prelude.lua"),
            include_str!($file)
        ))
    };
}

impl Scripts {
    /// What a full Redis lets pass: the end of what was executed, and looking. An insert has no flags: it is refused
    /// where it would write, and still says what stands there where something does.
    pub(super) fn new() -> Self {
        Self {
            insert: script!("", "scripts/insert.lua"),
            update: script!("#!lua flags=allow-oom\n", "scripts/update.lua"),
            get: script!("#!lua flags=no-writes\n", "scripts/get.lua"),
            purge: script!("#!lua flags=allow-oom\n", "scripts/purge.lua"),
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sha = redis::Script::new(text).get_hash().to_owned();
        Self { text, sha }
    }

    /// Runs it on the record whose key is `key`. The whole text is sent to a server that has not seen it, or has
    /// forgotten it: that one alone, which in a Cluster loading it everywhere would not be.
    pub(super) async fn run(
        &self,
        link: &mut (impl ConnectionLike + Send),
        key: &str,
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let known = command("EVALSHA", &self.sha, key, &arguments);
        match known.query_async(link).await {
            Err(error) if is_unknown_script(&error) => {
                let told = command("EVAL", self.text, key, &arguments);
                told.query_async(link).await
            }
            answer => answer,
        }
    }
}

fn command(name: &str, script: &str, key: &str, arguments: impl Fn(&mut Cmd)) -> Cmd {
    let mut command = redis::cmd(name);
    command
        .arg(script)
        .arg(3)
        .arg(key)
        .arg(format!("{key}:body"))
        .arg(format!("{key}:fence"));
    arguments(&mut command);
    command
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
