//! What can stand in the way of an opening, and what a person is told.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use oncegate::{Inspect, Store};
use oncegate_stores::file::FORMAT;
use oncegate_stores::{FileOpenError, FileStore, OpenError, StoreUrlError};

use crate::harness::{Place, block_on, completed, get};

fn refused(place: &Place) -> FileOpenError {
    place.try_open().expect_err("the file was opened")
}

#[test]
fn a_url_opens_a_store_that_can_be_listed_and_given_to_an_engine() {
    let place = Place::new();
    for url in [
        "memory:".to_owned(),
        format!("file:{}", place.path().display()),
    ] {
        let store: Arc<dyn Inspect> = block_on(oncegate_stores::open(&url)).unwrap();
        let for_the_engine: Arc<dyn Store> = store.clone();
        assert!(block_on(for_the_engine.ping()).is_ok());
        assert!(url.starts_with(block_on(store.info()).unwrap().value.name));
    }
}

#[test]
fn a_store_that_is_not_supported_is_refused_with_what_is() {
    let error = block_on(oncegate_stores::open("etcd://localhost")).unwrap_err();
    assert!(matches!(
        error,
        OpenError::Url(StoreUrlError::UnknownScheme { .. })
    ));
    assert_eq!(
        error.to_string(),
        format!(
            "store etcd: is not known; supported are: {}",
            oncegate_stores::STORES
        )
    );
}

#[test]
fn a_file_that_is_open_already_is_refused_with_the_rule() {
    let place = Place::new();
    let _holder = place.open();
    let error = refused(&place);
    assert!(matches!(error, FileOpenError::Locked { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("oncegate.db is in use by another process"),
        "{message}"
    );
    assert!(message.contains("one process per file"), "{message}");
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let place = Place::new();
    let text = "dear diary, ".repeat(1_000);
    fs::write(place.path(), &text).unwrap();
    assert!(matches!(
        refused(&place),
        FileOpenError::NotADatabase { .. }
    ));
    assert_eq!(fs::read_to_string(place.path()).unwrap(), text);
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let place = Place::new();
    let sqlite = place.sqlite();
    sqlite
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    drop(sqlite);
    let before = fs::read(place.path()).unwrap();
    assert!(matches!(refused(&place), FileOpenError::NotOurs { .. }));
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[test]
fn a_file_of_a_newer_version_names_both_formats() {
    let place = Place::new();
    drop(place.open());
    let sqlite = place.sqlite();
    sqlite
        .pragma_update(None, "user_version", FORMAT + 1)
        .unwrap();
    drop(sqlite);
    let error = refused(&place);
    let message = error.to_string();
    let FileOpenError::Newer { found, known, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((found, known), (FORMAT + 1, FORMAT));
    assert!(
        message.contains("has format 3, this version knows 2"),
        "{message}"
    );
}

/// Its rows have other columns: read as ours, they would say whatever stands in those places.
#[test]
fn a_file_of_an_older_format_is_refused_and_left_as_it_is() {
    let place = Place::new();
    drop(place.open());
    let sqlite = place.sqlite();
    sqlite
        .pragma_update(None, "user_version", FORMAT - 1)
        .unwrap();
    drop(sqlite);
    let before = fs::read(place.path()).unwrap();
    let error = refused(&place);
    let message = error.to_string();
    let FileOpenError::Older { found, known, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((found, known), (FORMAT - 1, FORMAT));
    assert!(
        message.contains("has format 1, this version reads 2 alone"),
        "{message}"
    );
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_damaged_where_keys_are_is_refused() {
    let place = Place::new();
    let store = place.open();
    for number in 0..200 {
        block_on(completed(&store, number, b"paid"));
    }
    drop(store);
    // All but the first page, which says that it is ours.
    let mut bytes = fs::read(place.path()).unwrap();
    bytes[8_192..].fill(0xff);
    fs::write(place.path(), bytes).unwrap();
    assert!(matches!(refused(&place), FileOpenError::Corrupt { .. }));
}

#[test]
fn a_record_without_a_readable_id_stops_the_opening() {
    let place = Place::new();
    block_on(completed(&place.open(), 1, b"paid"));
    let sqlite = place.sqlite();
    sqlite
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    sqlite.execute("UPDATE record SET id = x'00'", []).unwrap();
    drop(sqlite);
    let error = refused(&place);
    assert!(
        error.to_string().contains("the id in row 1 cannot be read"),
        "{error}"
    );
}

/// SQLite finds nothing wrong with any of these. A key whose record is missed would be executed again; a time or fence
/// that is believed when it has changed would expire keys or run backwards.
#[test]
fn records_that_vanished_or_changed_their_id_stop_the_opening() {
    for damage in [
        "DELETE FROM record WHERE row = 2",
        "UPDATE record SET id = zeroblob(32) WHERE row = 2",
        "UPDATE record SET row = 9 WHERE row = 2",
        "UPDATE meta SET time_high = time_high * 2",
        "UPDATE meta SET fence_high = 0",
        "UPDATE meta SET salt = zeroblob(32)",
        "UPDATE meta SET tally = 0",
    ] {
        let place = Place::new();
        let store = place.open();
        for number in 1..=3 {
            block_on(completed(&store, number, b"paid"));
        }
        drop(store);
        assert_eq!(place.sqlite().execute(damage, []).unwrap(), 1, "{damage}");
        let error = refused(&place);
        assert!(error.to_string().contains("damaged"), "{damage}: {error}");
    }
}

#[test]
fn a_record_that_stands_twice_stops_the_opening() {
    let place = Place::new();
    block_on(completed(&place.open(), 1, b"paid"));
    let sqlite = place.sqlite();
    sqlite
        .execute_batch(
            "CREATE TEMP TABLE copy AS SELECT * FROM record; UPDATE copy SET row = 7;
             INSERT INTO record SELECT * FROM copy;",
        )
        .unwrap();
    drop(sqlite);
    let error = refused(&place);
    assert!(
        error
            .to_string()
            .contains("the record in row 1 stands twice"),
        "{error}"
    );
}

#[test]
fn a_path_that_leads_nowhere_is_told_as_it_is() {
    let place = Place::new();
    let directory = place.path().parent().unwrap().to_path_buf();
    let open = |path: &Path| FileStore::open(path).unwrap_err();
    assert!(matches!(
        open(&directory),
        FileOpenError::IsDirectory { .. }
    ));
    let missing = directory.join("none").join("oncegate.db");
    let error = open(&missing);
    assert!(matches!(error, FileOpenError::DirectoryMissing { .. }));
    assert!(error.to_string().contains("none does not exist"), "{error}");
    assert!(!missing.exists());
    fs::write(directory.join("plain"), "x").unwrap();
    let error = open(&directory.join("plain").join("oncegate.db"));
    assert!(
        matches!(error, FileOpenError::DirectoryMissing { .. }),
        "{error:?}"
    );
}

#[test]
fn an_empty_file_becomes_a_store() {
    let place = Place::new();
    fs::write(place.path(), b"").unwrap();
    let before = block_on(completed(&place.open(), 1, b"paid"));
    assert_eq!(block_on(get(&place.open(), 1)), Some(before));
}

#[cfg(unix)]
#[test]
fn a_new_file_and_its_log_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let store = place.open();
    block_on(completed(&store, 1, b"paid"));
    for name in ["oncegate.db", "oncegate.db-wal"] {
        let mode = fs::metadata(place.path().with_file_name(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
