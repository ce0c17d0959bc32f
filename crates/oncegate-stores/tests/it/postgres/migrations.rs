//! Tables that are made, kept and refused.

use futures_util::future::join_all;
use oncegate_stores::{PostgresAddress, PostgresOpenError, PostgresStore};

use super::server::PostgresServer;
use crate::harness::{claim, on_threads};

pub(super) fn url_of(server: &PostgresServer, schema: &str) -> String {
    format!("{}?schema={schema}", server.url())
}

fn address(url: &str) -> PostgresAddress {
    url.parse().unwrap()
}

/// Each with a connection of its own, as ten processes that are started together.
#[test]
fn ten_that_migrate_at_once_make_the_tables_once() {
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let address = address(&url_of(server, &schema));
        let opened = join_all((0..10).map(|_| PostgresStore::open(&address))).await;
        let stores: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
        claim(&stores[0], 1).await;
        let steps = server.sql(&format!(
            "SELECT count(*), max(version) FROM {schema}.migration"
        ));
        assert_eq!(steps, "1|1");
        assert_eq!(PostgresStore::migrate(&address).await.unwrap(), 1);
    });
}

#[test]
fn tables_that_are_not_there_are_not_made_where_the_address_says_so() {
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let url = url_of(server, &schema);
        let off = address(&format!("{url}&migrate=off"));
        let refused = PostgresStore::open(&off).await.unwrap_err();
        assert!(
            refused.to_string().ends_with("run: oncegate store migrate"),
            "{refused}"
        );
        PostgresStore::migrate(&address(&url)).await.unwrap();
        claim(&PostgresStore::open(&off).await.unwrap(), 1).await;
    });
}

#[test]
fn tables_of_a_later_version_are_refused() {
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let address = address(&url_of(server, &schema));
        PostgresStore::migrate(&address).await.unwrap();
        server.sql(&format!(
            "INSERT INTO {schema}.migration (version) VALUES (99)"
        ));
        for refused in [
            PostgresStore::open(&address).await.map(drop).unwrap_err(),
            PostgresStore::migrate(&address)
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert!(
                matches!(
                    refused,
                    PostgresOpenError::Newer {
                        stands: 99,
                        latest: 1
                    }
                ),
                "{refused:?}"
            );
        }
    });
}

/// What the constraints are for: somebody who writes by hand.
#[test]
fn the_tables_take_no_record_that_is_none() {
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let store = PostgresStore::open(&address(&url_of(server, &schema)))
            .await
            .unwrap();
        claim(&store, 1).await;
        for wrong in [
            "state = 'completed'",
            "response = 'x'",
            "state = 'done'",
            "owner = 'short'",
            "fence = 0",
            "revision = 0",
            "purge_at = expires_at - interval '1 second'",
            "state_at = expires_at + interval '1 second'",
        ] {
            let update = format!(
                "DO $$ BEGIN UPDATE {schema}.record SET {wrong}; RAISE 'taken'; EXCEPTION WHEN check_violation THEN \
                 NULL; END $$"
            );
            assert_eq!(server.sql(&update), "", "{wrong}");
        }
    });
}

#[test]
fn a_role_without_rights_is_told_which_it_needs() {
    on_threads(async {
        let server = PostgresServer::start(&[]);
        server.sql("CREATE ROLE clerk LOGIN");
        let url = server.fresh_url();
        let at = url.find("://").unwrap() + 3;
        let host = url[at..]
            .rsplit_once('@')
            .map_or(&url[at..], |(_user, host)| host);
        let refused = PostgresStore::open(&address(&format!("postgres://clerk@{host}")))
            .await
            .unwrap_err();
        let told = refused.to_string();
        assert!(
            matches!(refused, PostgresOpenError::Rights { .. }),
            "{refused:?}"
        );
        assert!(told.contains("GRANT USAGE, CREATE ON SCHEMA"), "{told}");
        assert!(told.contains("TO clerk"), "{told}");
    });
}
