//! PgBouncer in transaction mode, before a PostgreSQL server: sessions are shared, so nothing of a session may count.

use std::net::SocketAddr;
use std::process::Child;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::server::{
    PostgresServer, SUPERUSER, answers, as_somebody, free_address, on_a_thread_that_stays,
};

/// A pooler that is killed when the test is over.
pub(crate) struct PgBouncer {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl PgBouncer {
    /// One for the whole test program, before the shared server.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<PgBouncer> = OnceLock::new();
        SHARED.get_or_init(|| on_a_thread_that_stays(|| Self::before(PostgresServer::shared())))
    }

    pub(crate) fn before(server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port may be taken between here and there; then it ends at once, and another one is tried.
        for _attempt in 0..ATTEMPTS {
            let address = free_address();
            configure(&folder, address, server.address());
            let mut child = spawn(&folder);
            if answers(&mut child, address) {
                return Self {
                    child,
                    address,
                    folder,
                };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("no PgBouncer could be started: {log}");
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://{SUPERUSER}@{}/postgres?pgbouncer=transaction",
            self.address()
        )
    }

    /// With this schema, which need not be there yet.
    pub(crate) fn url_of(&self, schema: &str) -> String {
        format!("{}&schema={schema}", self.url())
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        assert!(
            answers(&mut self.child, self.address),
            "PgBouncer did not come back"
        );
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may be dead already, by the test's own hand.
        let _killed_or_dead = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Few sessions for many clients, so that a session is somebody else's at the next statement.
fn configure(folder: &TempDir, address: SocketAddr, server: SocketAddr) {
    let (port, server_port) = (address.port(), server.port());
    let settings = format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server_port}\n\
         [pgbouncer]\n\
         pool_mode = transaction\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = users\n\
         max_client_conn = 1000\n\
         default_pool_size = 4\n\
         server_login_retry = 0.1\n\
         logfile = log\n"
    );
    std::fs::write(folder.path().join("pgbouncer.ini"), settings).unwrap();
    std::fs::write(
        folder.path().join("users"),
        format!("\"{SUPERUSER}\" \"\"\n"),
    )
    .unwrap();
}

fn spawn(folder: &TempDir) -> Child {
    as_somebody("pgbouncer", folder.path())
        .args(["-q", "pgbouncer.ini"])
        .spawn()
        .expect("PgBouncer is installed: run `make setup`")
}

const ATTEMPTS: usize = 5;
