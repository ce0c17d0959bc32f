//! The real binary on a real PostgreSQL, straight and behind a PgBouncer: several proxies, one truth.

mod costs;
mod faults;
/// The servers are those of the store's own tests.
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../../oncegate-stores/tests/it/postgres/pgbouncer.rs"]
mod pgbouncer;
#[expect(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../../oncegate-stores/tests/it/postgres/server.rs"]
mod server;

use std::path::Path;

use pgbouncer::PgBouncer;
pub(crate) use server::PostgresServer;

use crate::shared::StoreServer;

/// A PostgreSQL of a test's own.
struct Postgres(PostgresServer);

impl StoreServer for Postgres {
    async fn start(_folder: &Path) -> Self {
        Self(PostgresServer::start(&[]))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn url_as(&self, credentials: &str) -> String {
        format!("postgres://{credentials}@{}/postgres", self.0.address())
    }

    async fn hang(&self) {
        self.0.stop();
    }

    async fn go_on(&self) {
        self.0.go_on();
    }

    async fn kill(&mut self) {
        self.0.kill();
    }

    async fn start_again(&mut self) {
        self.0.start_again();
    }
}

/// A PgBouncer that can be killed, before a PostgreSQL that can hang.
struct Bounced {
    server: PostgresServer,
    bouncer: PgBouncer,
}

impl StoreServer for Bounced {
    async fn start(_folder: &Path) -> Self {
        let server = PostgresServer::start(&[]);
        let bouncer = PgBouncer::before(&server);
        Self { server, bouncer }
    }

    fn url(&self) -> String {
        self.bouncer.url()
    }

    fn url_as(&self, credentials: &str) -> String {
        let address = self.bouncer.address();
        format!("postgres://{credentials}@{address}/postgres?pgbouncer=transaction")
    }

    async fn hang(&self) {
        self.server.stop();
    }

    async fn go_on(&self) {
        self.server.go_on();
    }

    async fn kill(&mut self) {
        self.bouncer.kill();
    }

    async fn start_again(&mut self) {
        self.bouncer.start_again();
    }
}

mod straight {
    use super::Postgres;

    crate::shared::shared_suite!(Postgres);
}

mod behind_a_pgbouncer {
    use super::Bounced;

    crate::shared::shared_suite!(Bounced);
}
