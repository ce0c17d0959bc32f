//! Whether a PostgreSQL can be a store at all, by what it says of itself.

use tokio_postgres::{Error, Row};

use super::address::PostgresAddress;
use super::error::PostgresOpenError;
use super::session::Session;

/// That it can be a store. Answers the role that connects, as a statement names it.
pub(super) async fn confirm(
    session: &Session,
    address: &PostgresAddress,
) -> Result<String, PostgresOpenError> {
    let unavailable = |source| PostgresOpenError::unavailable(address, source);
    let asking = session.client().query_typed(ASK, &[]);
    let rows = session.within(asking).await.map_err(unavailable)?;
    let told = rows.and_then(|rows| rows.iter().map(Told::read).collect::<Result<Vec<_>, _>>());
    let told = told.map_err(|error| unavailable(error.into()))?;
    let mut user = String::new();
    for told in told {
        user.clone_from(&told.user);
        told.unfit().map_or(Ok(()), Err)?;
    }
    Ok(user)
}

/// What it says of itself.
#[derive(Debug)]
struct Told {
    version_number: i32,
    version: String,
    synchronous_commit: String,
    isolation: String,
    encoding: String,
    is_read_only: bool,
    user: String,
}

impl Told {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            version_number: row.try_get(0)?,
            version: row.try_get(1)?,
            synchronous_commit: row.try_get(2)?,
            isolation: row.try_get(3)?,
            encoding: row.try_get(4)?,
            is_read_only: row.try_get(5)?,
            user: row.try_get(6)?,
        })
    }

    fn unfit(self) -> Option<PostgresOpenError> {
        let Self {
            version,
            user,
            isolation,
            encoding,
            ..
        } = self;
        if self.version_number < OLDEST {
            return Some(PostgresOpenError::TooOld { version });
        }
        if self.is_read_only {
            return Some(PostgresOpenError::ReadOnly);
        }
        if self.synchronous_commit == "off" {
            return Some(PostgresOpenError::Forgets { user });
        }
        if isolation != "read committed" {
            return Some(PostgresOpenError::Isolation { isolation, user });
        }
        (encoding != "UTF8").then_some(PostgresOpenError::Encoding { encoding })
    }
}

/// Ranges of pages can be read since 14: by them the purge goes.
const OLDEST: i32 = 140_000;
const ASK: &str = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
                   current_setting('synchronous_commit'), current_setting('default_transaction_isolation'), \
                   current_setting('server_encoding'), \
                   pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean, \
                   quote_ident(current_user)";

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Told {
        Told {
            version_number: 140_000,
            version: "14.0".to_owned(),
            synchronous_commit: "on".to_owned(),
            isolation: "read committed".to_owned(),
            encoding: "UTF8".to_owned(),
            is_read_only: false,
            user: "shop".to_owned(),
        }
    }

    #[test]
    fn what_a_postgresql_says_of_itself_decides_whether_it_can_be_a_store() {
        assert!(fit().unfit().is_none());
        for kept in ["local", "remote_write", "remote_apply"] {
            let told = Told {
                synchronous_commit: kept.to_owned(),
                ..fit()
            };
            assert!(told.unfit().is_none(), "{kept}");
        }
        let unfit = [
            Told {
                version_number: 130_011,
                ..fit()
            },
            Told {
                is_read_only: true,
                ..fit()
            },
            Told {
                synchronous_commit: "off".to_owned(),
                ..fit()
            },
            Told {
                isolation: "serializable".to_owned(),
                ..fit()
            },
            Told {
                encoding: "SQL_ASCII".to_owned(),
                ..fit()
            },
        ];
        for told in unfit {
            let about = format!("{told:?}");
            assert!(told.unfit().is_some(), "{about}");
        }
    }
}
