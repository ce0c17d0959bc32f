//! The tables, brought up to date step by step, in one transaction and by one process at a time.
//!
//! A step that was published is never changed; what comes later is a step of its own. A store refuses tables that are
//! newer than it is.

use std::sync::Arc;
use std::time::Duration;

use oncegate::record::OPERATION_BYTES_MAX;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::address::PostgresAddress;
use super::error::PostgresOpenError;
use super::session::{AskError, Session, Sessions};
use super::statements::in_schema;

/// A session in which nothing is prepared.
pub(super) async fn session(
    sessions: &Arc<Sessions>,
    address: &PostgresAddress,
) -> Result<Session, PostgresOpenError> {
    let begun = sessions.begin(&[]).await;
    begun.map_err(|source| PostgresOpenError::unavailable(address, source))
}

/// Brings the tables up to date, and answers their version.
pub(super) async fn migrate(
    session: &mut Session,
    address: &PostgresAddress,
    user: &str,
) -> Result<u32, PostgresOpenError> {
    match timeout(MIGRATE_TIMEOUT, migrate_now(session, address, user)).await {
        Ok(migrated) => migrated,
        // Dropped half-way, the transaction ends with its connection.
        Err(_elapsed) => Err(PostgresOpenError::unavailable(
            address,
            AskError::Silent(MIGRATE_TIMEOUT),
        )),
    }
}

async fn migrate_now(
    session: &mut Session,
    address: &PostgresAddress,
    user: &str,
) -> Result<u32, PostgresOpenError> {
    let schema = address.schema();
    let failed = |source| failed(address, user, source);
    let stands = version(session.client(), schema).await.map_err(failed)?;
    if stands == LATEST {
        return Ok(LATEST);
    }
    known(stands)?;
    let transaction = session.client_mut().transaction().await.map_err(failed)?;
    // Others wait here, and find everything done.
    let millis = MIGRATE_TIMEOUT.as_millis();
    let lock = format!(
        "SET LOCAL statement_timeout = {millis}; SELECT pg_advisory_xact_lock({LOCK}, hashtext('{schema}'))"
    );
    transaction.batch_execute(&lock).await.map_err(failed)?;
    let stands = version(transaction.client(), schema)
        .await
        .map_err(failed)?;
    known(stands)?;
    if stands == 0 {
        create_schema(transaction.client(), schema)
            .await
            .map_err(failed)?;
    }
    for (number, step) in (1..)
        .zip(STEPS)
        .skip(usize::try_from(stands).unwrap_or(STEPS.len()))
    {
        transaction
            .batch_execute(&filled(step, schema))
            .await
            .map_err(failed)?;
        let noted = format!("INSERT INTO {schema}.migration (version) VALUES ({number})");
        transaction.batch_execute(&noted).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(LATEST)
}

/// That the tables are those of this version.
pub(super) async fn confirm(
    session: &Session,
    address: &PostgresAddress,
    user: &str,
) -> Result<(), PostgresOpenError> {
    let stands = version(session.client(), address.schema())
        .await
        .map_err(|source| failed(address, user, source))?;
    known(stands)?;
    if stands < LATEST {
        return Err(PostgresOpenError::NotMigrated {
            stands,
            latest: LATEST,
        });
    }
    Ok(())
}

const fn known(stands: u32) -> Result<(), PostgresOpenError> {
    if stands > LATEST {
        return Err(PostgresOpenError::Newer {
            stands,
            latest: LATEST,
        });
    }
    Ok(())
}

/// Which steps were done; none where there are no tables.
async fn version(client: &Client, schema: &str) -> Result<u32, Error> {
    let asked = [(&schema as &(dyn ToSql + Sync), Type::TEXT)];
    // Read as a table is: `to_regclass` would go on believing what this session found before it waited for the lock.
    let there = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname = 'migration'";
    if client.query_typed(there, &asked).await?.is_empty() {
        return Ok(0);
    }
    let asked = format!("SELECT coalesce(max(version), 0) FROM {schema}.migration");
    let rows = client.query_typed(&asked, &[]).await?;
    let version: Option<i32> = rows.first().map(|row| row.try_get(0)).transpose()?;
    Ok(version.map_or(0, |version| u32::try_from(version).unwrap_or(0)))
}

/// Where somebody else has made the schema, no right to make schemas is needed.
async fn create_schema(client: &Client, schema: &str) -> Result<(), Error> {
    let asked = [(&schema as &(dyn ToSql + Sync), Type::TEXT)];
    let there = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
    if client.query_typed(there, &asked).await?.is_empty() {
        client
            .batch_execute(&format!("CREATE SCHEMA {schema}"))
            .await?;
    }
    Ok(())
}

fn filled(step: &str, schema: &str) -> String {
    in_schema(step, schema).replace("{operation_bytes_max}", &OPERATION_BYTES_MAX.to_string())
}

fn failed(address: &PostgresAddress, user: &str, source: Error) -> PostgresOpenError {
    if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return PostgresOpenError::Rights {
            schema: address.schema().to_owned(),
            user: user.to_owned(),
            source,
        };
    }
    PostgresOpenError::unavailable(address, source.into())
}

const STEPS: [&str; 1] = [include_str!("migrations/0001_records.sql")];
const LATEST: u32 = 1;
const _EACH_STEP_HAS_A_NUMBER: () = assert!(STEPS.len() == LATEST as usize);
/// The first half of the number of our lock; the second is the schema's.
const LOCK: i32 = 0x0ce6_a7e0;
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(60);
