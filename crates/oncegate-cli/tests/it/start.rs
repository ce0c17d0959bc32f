//! Starting: what stands in the way is named, with its place and the way out, and left as it was.

use std::path::Path;

use oncegate_stores::file::FORMAT;
use tokio::net::TcpListener;

use crate::harness::{Stage, oncegate, pay};

/// One process per file: the second would not see what the first has in memory.
#[tokio::test]
async fn a_second_process_on_one_file_is_refused_and_the_first_goes_on() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let first = proxy.send(&pay("before")).await;
    let file = stage.store_file();
    let second = stage.proxy().fail().await;
    second.must_fail(
        69,
        &[
            file.to_str().unwrap(),
            "in use by another process",
            "one process per file is the rule",
        ],
    );
    proxy.send(&pay("before")).await.must_replay(&first);
    proxy.send(&pay("after")).await.must_be_executed();
}

/// A port that is taken is named together with the setting that names it.
#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let stage = Stage::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["listen", "admin"] {
        let setup = stage.proxy().flag(&format!("--{setting}"), &address);
        let failed = setup.fail().await;
        failed.must_fail(
            69,
            &[&format!("cannot listen on {address} ({setting})"), "in use"],
        );
        assert!(
            !stage.store_file().exists(),
            "nothing is created before the ports are had"
        );
    }
}

/// A file that is not a store stays as it is, byte for byte.
#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_untouched() {
    let stage = Stage::new().await;
    let text = "these are notes, and more than one page of them\n".repeat(400);
    let notes = stage.write("oncegate.db", &text);
    let failed = stage.proxy().fail().await;
    failed.must_fail(
        69,
        &[notes.to_str().unwrap(), "is not a database, or is damaged"],
    );
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
    assert_eq!(files_in(stage.folder()), ["oncegate.db"]);
}

/// A store that was cut off in the middle hides keys, and each of them might be executed again.
#[tokio::test]
async fn a_damaged_store_is_refused_and_untouched() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for number in 0..40 {
        proxy
            .send(&pay(&format!("kept-{number}")))
            .await
            .must_be_executed();
    }
    let setup = proxy.stop().await;
    let file = stage.store_file();
    let whole = std::fs::read(&file).unwrap();
    assert!(whole.len() > 3 * 8_192, "{} bytes", whole.len());
    let mut damaged = whole.clone();
    for byte in &mut damaged[8_192..3 * 8_192] {
        *byte ^= 0xA5;
    }
    for bytes in [&damaged, &whole[..whole.len() / 2].to_vec()] {
        std::fs::write(&file, bytes).unwrap();
        let failed = setup.fail().await;
        failed.must_fail(
            69,
            &[
                file.to_str().unwrap(),
                "damaged",
                "restore it from a backup",
            ],
        );
        assert_eq!(&std::fs::read(&file).unwrap(), bytes);
    }
    std::fs::write(&file, &whole).unwrap();
    let proxy = setup.start().await;
    assert_eq!(proxy.send(&pay("kept-7")).await.became(), "replayed");
}

/// A newer version may keep what this one would not understand.
#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_untouched() {
    let stage = Stage::new().await;
    let setup = stage.proxy().start().await.stop().await;
    let file = stage.store_file();
    set_format(&file, FORMAT + 1);
    let before = std::fs::read(&file).unwrap();
    let failed = setup.fail().await;
    failed.must_fail(
        69,
        &[
            file.to_str().unwrap(),
            &format!("has format {}, this version knows {FORMAT}", FORMAT + 1),
            "use the newer version",
        ],
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
    set_format(&file, FORMAT);
    setup.start().await;
}

/// A database of another program has tables of its own, and they are none of our business.
#[tokio::test]
async fn a_database_of_another_program_is_refused_and_untouched() {
    let stage = Stage::new().await;
    let file = stage.store_file();
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign
        .execute_batch("CREATE TABLE song (title TEXT); INSERT INTO song VALUES ('one')")
        .unwrap();
    foreign.close().unwrap();
    let before = std::fs::read(&file).unwrap();
    let failed = stage.proxy().fail().await;
    failed.must_fail(
        69,
        &[
            file.to_str().unwrap(),
            "the database of another program",
            "choose another path",
        ],
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// A directory, or one that is missing, is said to be so.
#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_named() {
    let stage = Stage::new().await;
    let folder = stage.folder().display();
    let directory = stage.proxy().flag("--store", &format!("file:{folder}"));
    directory.fail().await.must_fail(
        69,
        &[
            &folder.to_string(),
            "is a directory",
            "needs the path of a file",
        ],
    );
    let missing = stage
        .proxy()
        .flag("--store", &format!("file:{folder}/none/oncegate.db"));
    missing.fail().await.must_fail(
        69,
        &[&format!("{folder}/none"), "does not exist", "create it"],
    );
    assert_eq!(files_in(stage.folder()), Vec::<String>::new());
}

/// A typo is shown where it stands, with the name that was meant.
#[tokio::test]
async fn a_typo_in_the_configuration_is_shown_with_its_line_and_the_nearest_name() {
    let stage = Stage::new().await;
    let text =
        "upstream = \"http://127.0.0.1:3000\"\n\n[defaults]\nretenton = \"24h\"\nlease = \"30\"\n";
    let file = stage.write("proxy.toml", text);
    let file = file.to_str().unwrap();
    let expected: &[&str] = &[
        &format!("{file}:4"),
        "unknown setting `retenton`",
        "did you mean `retention`?",
        &format!("{file}:5"),
        "`30s` for seconds",
    ];
    let failed = stage.proxy().flag("--config", file).fail().await;
    failed.must_fail(64, expected);
    oncegate(&["config", "check", "--config", file])
        .await
        .must_fail(64, expected);
    assert!(!stage.store_file().exists());
}

/// The same for a flag, a value of a flag, and a setting by flag.
#[tokio::test]
async fn a_wrong_flag_is_a_usage_error() {
    let table: [(&[&str], &str); 6] = [
        (
            &["serve", "--upstreem", "http://127.0.0.1:1"],
            "'--upstream'",
        ),
        (&["serve", "--set", "leese=10s"], "did you mean `lease`?"),
        (&["serve", "--set", "lease=10"], "`10s` for seconds"),
        (&["serve", "--store", "mysql://h"], "is not known"),
        (&["serve", "--upstream", "ftp://h"], "upstream"),
        (&["server"], "serve"),
    ];
    for (arguments, said) in table {
        oncegate(arguments).await.must_fail(64, &[said]);
    }
}

/// A right configuration says so, and starts nothing.
#[tokio::test]
async fn a_right_configuration_passes_its_check() {
    let stage = Stage::new().await;
    let file = stage.write(
        "proxy.toml",
        "upstream = \"http://127.0.0.1:3000\"\nlisten = \"127.0.0.1:0\"\n\n\
         [[route]]\nmatch = \"POST /payments\"\nkey = \"required\"\n",
    );
    let checked = oncegate(&["config", "check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(checked.stdout, "the configuration is right\n");
    for (arguments, said) in [(["--help", ""], "serve"), (["--version", ""], "oncegate")] {
        let asked = oncegate(&arguments[..1]).await;
        assert_eq!(asked.code, Some(0));
        assert!(asked.stdout.contains(said), "{asked:?}");
    }
}

/// What is printed can be started from, and is the same again.
#[tokio::test]
async fn a_printed_configuration_reads_back_as_itself() {
    let stage = Stage::new().await;
    let printed = oncegate(&["serve", "--print-config", "--set", "lease=10s"]).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.contains("lease = \"10s\""),
        "{}",
        printed.stdout
    );
    let file = stage.write("printed.toml", &printed.stdout);
    let again = oncegate(&[
        "serve",
        "--print-config",
        "--config",
        file.to_str().unwrap(),
    ])
    .await;
    assert_eq!(again.stdout, printed.stdout, "{}", again.stderr);
}

/// Marks the store as one of this format.
fn set_format(file: &Path, format: i32) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection
        .pragma_update(None, "user_version", format)
        .unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |_| Ok(())).unwrap();
    connection.close().unwrap();
}

fn files_in(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}
