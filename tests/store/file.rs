//! What only an SQLite file has: a key file, a lock, permissions, and bytes on the disk.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use libtest_mimic::Trial;
use passerelle::store::{
    CarriedChanges, Claim, ContactKind, ContactsOf, EarlierContents, End, NewOperation, StoreError, audit::Broken,
};
use rusqlite::Connection;

use crate::{
    bed::{Bed, answer, claim, done, key, keyed, keyless},
    damage,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("file::{}", stringify!($test)), $test)),+] };
    }
    trials![
        operations_survive_a_restart,
        a_second_process_on_the_file_is_refused,
        a_missing_folder_is_refused_with_what_to_do,
        a_file_that_is_not_a_database_is_refused,
        a_file_that_was_overwritten_is_refused_also_beside_its_log,
        a_file_whose_pages_are_damaged_is_refused_with_its_name,
        a_start_message_names_the_file_and_says_what_to_do,
        a_file_of_a_newer_version_opens,
        a_missing_key_file_is_not_replaced,
        a_key_that_others_can_read_is_refused,
        another_key_is_refused,
        a_rotated_key_opens_everything,
        nothing_of_a_customer_is_in_the_files,
        a_changed_audit_record_is_found,
        a_write_without_a_key_joins_one_of_an_earlier_version_after_the_upgrade,
        sealed_bytes_do_not_open_in_another_row,
        files_are_readable_by_their_owner_only,
    ]
}

fn refusal<T>(result: Result<T, StoreError>) -> StoreError {
    match result {
        Ok(_) => panic!("the store opened or answered, but it should have been refused"),
        Err(error) => error,
    }
}

async fn operations_survive_a_restart() {
    let bed = Bed::file();
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let sending = claim(&store, keyed("acme", "k2", "r")).await;
    store.operations().finish(id, 1, done()).await.expect("finished");
    drop(store);
    let store = bed.open().await;
    let again = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(201))));
    // An SQLite file has one process, so the operations of its former process are taken over at once.
    let taken = store.operations().take_over(10).await.expect("taken over");
    assert_eq!(taken.iter().map(|record| (record.id, record.attempt)).collect::<Vec<_>>(), [(sending, 2)]);
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
}

async fn a_second_process_on_the_file_is_refused() {
    let bed = Bed::file();
    let store = bed.open().await;
    let error = refusal(bed.try_open("").await);
    assert!(matches!(&error, StoreError::Locked(message) if message.contains("another process")), "{error:?}");
    drop(store);
    bed.open().await;
}

async fn a_missing_folder_is_refused_with_what_to_do() {
    let mut bed = Bed::file();
    let path = bed.path();
    bed.url = format!("sqlite:{}", path.join("missing/store.db").display());
    let error = refusal(bed.try_open("").await);
    assert!(matches!(&error, StoreError::Settings(message) if message.contains("does not exist")), "{error:?}");
    bed.url = format!("sqlite:{}", path.parent().expect("a folder").display());
    let error = refusal(bed.try_open("").await);
    assert!(matches!(&error, StoreError::Settings(message) if message.contains("is a folder")), "{error:?}");
    bed.url = "sqlite:/proc/store.db".to_owned();
    let error = refusal(bed.try_open("").await);
    assert!(matches!(&error, StoreError::Settings(message) if message.contains("cannot be opened")), "{error:?}");
}

async fn a_file_that_is_not_a_database_is_refused() {
    let bed = Bed::file();
    fs::write(bed.path(), "dear diary ".repeat(1000)).expect("written");
    assert_says(&bed, &["is not an SQLite database", "Restore the newest backup", "`store.url`"]).await;
}

/// Every refusal names the file.
async fn assert_says(bed: &Bed, parts: &[&str]) {
    let message = refusal(bed.try_open("").await).message().to_owned();
    for part in parts.iter().chain([&bed.path().to_str().expect("a path")]) {
        assert!(message.contains(part), "{part}: {message}");
    }
}

async fn a_file_that_was_overwritten_is_refused_also_beside_its_log() {
    let bed = Bed::file();
    let store = damage::open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let killed = damage::copy(&bed, &["", ".key", ".lock", "-wal"]);
    drop(store);
    for bed in [bed, killed] {
        let length = fs::metadata(bed.path()).expect("the file").len();
        for byte in [0, 0x5A] {
            fs::write(bed.path(), vec![byte; usize::try_from(length).expect("a small file")]).expect("overwritten");
            assert_says(&bed, &["is not an SQLite database", "Restore the newest backup", "-wal first"]).await;
        }
    }
}

async fn a_file_whose_pages_are_damaged_is_refused_with_its_name() {
    let bed = Bed::file();
    drop(damage::open(&bed).await);
    let mut bytes = fs::read(bed.path()).expect("the file");
    bytes[100..].fill(0x5A);
    fs::write(bed.path(), bytes).expect("overwritten");
    assert_says(&bed, &["is damaged", "restore the newest backup"]).await;
}

async fn a_start_message_names_the_file_and_says_what_to_do() {
    // A key file that holds no key.
    let bed = Bed::file();
    drop(damage::open(&bed).await);
    fs::write(damage::beside(&bed, ".key"), "").expect("emptied");
    assert_says(&bed, &[".key does not hold a key", "restore it from your backup"]).await;
    // A log that SQLite cannot open.
    let bed = Bed::file();
    fs::create_dir(damage::beside(&bed, "-wal")).expect("a folder");
    assert_says(&bed, &["its -wal and its -shm must be files"]).await;
    // The database of another program.
    let bed = Bed::file();
    Connection::open(bed.path()).expect("a file").execute("CREATE TABLE t (c)", []).expect("a table");
    assert_says(&bed, &["is the database of another program", "set `store.url`"]).await;
    // A schema that differs from the one of this version.
    let bed = Bed::file();
    drop(damage::open(&bed).await);
    let change = |statement: &str| {
        Connection::open(bed.path()).expect("the file").execute(statement, []).expect("changed");
    };
    change("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1");
    assert_says(&bed, &["cannot be migrated to this version", "Start the version that wrote it"]).await;
}

/// A version only adds to the schema.
async fn a_file_of_a_newer_version_opens() {
    let bed = Bed::file();
    drop(damage::open(&bed).await);
    let newer = "INSERT INTO refinery_schema_history SELECT 999, 'newer', applied_on, '1' FROM refinery_schema_history \
                 WHERE version = 1";
    Connection::open(bed.path()).expect("the file").execute(newer, []).expect("inserted");
    damage::write(&damage::open(&bed).await, 1).await;
}

async fn a_missing_key_file_is_not_replaced() {
    let bed = Bed::file();
    let store = bed.try_open("").await.expect("a store");
    claim(&store, keyed("acme", "k", "r")).await;
    drop(store);
    let path = bed.path().with_extension("db.key");
    assert_eq!(fs::metadata(&path).expect("a key").permissions().mode() & 0o777, 0o600);
    let store = bed.try_open("").await.expect("a store");
    assert!(
        matches!(store.operations().claim(keyed("acme", "k", "r")).await, Ok(Claim::InFlight(record)) if record.command.is_some())
    );
    drop(store);
    let text = fs::read_to_string(&path).expect("the key");
    fs::remove_file(&path).expect("removed");
    let error = refusal(bed.try_open("").await);
    assert!(matches!(&error, StoreError::WrongKey(message) if message.contains("is missing")), "{error:?}");
    assert!(!path.exists(), "a new key would hide that the old one is lost");
    // The same key may move into the configuration.
    bed.try_open(&format!("key = \"{}\"", text.trim())).await.expect("a store");
}

async fn a_key_that_others_can_read_is_refused() {
    let bed = Bed::file();
    drop(bed.try_open("").await.expect("a store"));
    let path = bed.path().with_extension("db.key");
    let configured = format!("key = {{ file = \"{}\" }}", path.display());
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        for more in ["", &configured] {
            let error = refusal(bed.try_open(more).await);
            assert!(matches!(&error, StoreError::WrongKey(message) if message.contains("chmod 600")), "{error:?}");
        }
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("a mode");
    drop(bed.try_open("").await.expect("a store"));
    bed.try_open(&configured).await.expect("a store");
}

async fn another_key_is_refused() {
    let bed = Bed::file();
    assert!(bed.open().await.switches().is_exclusive(), "no other process can open the file");
    let error = refusal(bed.try_open(&format!("key = \"{}\"", key('2'))).await);
    assert!(matches!(&error, StoreError::WrongKey(message) if message.contains("previous_keys")), "{error:?}");
    bed.open().await;
}

async fn a_rotated_key_opens_everything() {
    let bed = Bed::file();
    let store = bed.open().await;
    let mut ids = Vec::new();
    for number in 0..450 {
        let id = claim(&store, keyed("acme", &number.to_string(), "r")).await;
        if number % 2 == 0 {
            store.operations().finish(id, 1, done()).await.expect("finished");
        }
        ids.push(id);
    }
    drop(store);
    let both = format!("key = \"{}\"\nprevious_keys = [\"{}\"]", key('2'), key('1'));
    let store = bed.try_open(&both).await.expect("a store");
    assert_eq!(store.reseal().await, Ok(0), "the start has sealed everything with the new key already");
    drop(store);
    let store = bed.try_open(&format!("key = \"{}\"", key('2'))).await.expect("a store");
    for (number, id) in ids.iter().enumerate() {
        // Keys and fingerprints are still known.
        match store.operations().claim(keyed("acme", &number.to_string(), "r")).await {
            Ok(Claim::Finished(record)) if number % 2 == 0 => {
                assert_eq!((record.id, record.answer), (*id, Some(answer(201))));
            }
            Ok(Claim::InFlight(record)) => assert!(record.id == *id && record.command.is_some()),
            other => panic!("{other:?}"),
        }
    }
    drop(store);
    assert!(matches!(refusal(bed.try_open(&format!("key = \"{}\"", key('1'))).await), StoreError::WrongKey(_)));
}

/// The files in a folder that contain one of the texts.
fn files_with(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let bytes = fs::read(entry.path()).expect("a file");
        for text in texts {
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(format!("{} contains {text}", entry.file_name().display()));
            }
        }
    }
    found
}

async fn nothing_of_a_customer_is_in_the_files() {
    let bed = Bed::file();
    let store = bed.open().await;
    for number in 0..50 {
        let id = claim(&store, keyed("acme", &format!("canarykey{number}"), &format!("canaryrequest{number}"))).await;
        match number % 3 {
            0 => {
                let of = ContactsOf { merchant: "acme", connection: "main" };
                let email = format!("canaryaddress{number}@example.com");
                let contacts = store.contacts().changes(of, [(ContactKind::Email, Some(email.as_str()))]);
                let end = End::Done {
                    customer: Some(format!("c{number}")),
                    contacts,
                    carried: CarriedChanges::default(),
                    answer: answer(201),
                };
                assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
            }
            1 => assert_eq!(store.operations().finish(id, 1, End::NotSent).await, Ok(true)),
            _ => {}
        }
    }
    let folder = bed.path().parent().expect("a folder").to_owned();
    let texts = ["canaryaddress", "canarykey", "canaryrequest", "command\":", "Amadou", "location"];
    // While the store is open, with its log, and after it is closed.
    assert!(!files_with(&folder, &["op_"]).is_empty(), "the search finds what is in the files");
    assert_eq!(files_with(&folder, &texts), [] as [String; 0]);
    drop(store);
    assert_eq!(files_with(&folder, &texts), [] as [String; 0]);
}

async fn a_changed_audit_record_is_found() {
    let bed = Bed::file();
    let open = || Connection::open(bed.path()).expect("the file");
    let store = bed.open().await;
    for number in 0..500 {
        let id = claim(&store, keyed("acme", &number.to_string(), "r")).await;
        store.operations().finish(id, 1, done()).await.expect("finished");
    }
    assert!(matches!(store.audit().verify().await, Ok(Ok(head)) if head.sequence == 1000));
    let change = |statement: &str| open().execute(statement, []).expect("changed");
    change("UPDATE audit SET merchant = 'other' WHERE sequence = 700");
    assert_eq!(store.audit().verify().await, Ok(Err(Broken::Changed(700))));
    change("UPDATE audit SET merchant = 'acme' WHERE sequence = 700");
    assert!(matches!(store.audit().verify().await, Ok(Ok(_))));
    change("DELETE FROM audit WHERE sequence = 1000");
    assert_eq!(store.audit().verify().await, Ok(Err(Broken::Missing(1000))));
    change("DELETE FROM audit WHERE sequence = 3");
    assert_eq!(store.audit().verify().await, Ok(Err(Broken::Missing(3))));
}

/// A client that disconnected before an upgrade repeats its request without a key after it.
async fn a_write_without_a_key_joins_one_of_an_earlier_version_after_the_upgrade() {
    let bed = Bed::file();
    let store = bed.open().await;
    // An earlier version hashed the name of the connection, `main`, before another content.
    let earlier = claim(&store, keyless("acme", "main\nr0")).await;
    assert_eq!(store.operations().finish_undelivered(earlier, 1, done()).await, Ok(true));
    drop(store);
    let store = bed.open().await;
    let request = || {
        let contents = EarlierContents(Arc::new(|| vec![b"r0".to_vec()]));
        NewOperation { earlier: contents, ..keyless("acme", "r") }
    };
    let again = store.operations().claim(request()).await;
    assert!(matches!(&again, Ok(Claim::Finished(record)) if record.id == earlier), "{again:?}");
    claim(&store, request()).await;
}

async fn sealed_bytes_do_not_open_in_another_row() {
    let bed = Bed::file();
    let store = bed.open().await;
    let first = claim(&store, keyed("acme", "a", "r")).await;
    let second = claim(&store, keyed("other", "b", "r")).await;
    for id in [first, second] {
        store.operations().finish(id, 1, done()).await.expect("finished");
    }
    let swap = "UPDATE operations SET answer = (SELECT answer FROM operations WHERE merchant = 'other')";
    Connection::open(bed.path()).expect("the file").execute(swap, []).expect("swapped");
    let error = refusal(store.operations().get("acme", first).await);
    assert!(matches!(&error, StoreError::Damaged(message) if message.contains(&first.to_string())), "{error:?}");
    assert!(matches!(store.operations().get("other", second).await, Ok(Some(_))));
}

async fn files_are_readable_by_their_owner_only() {
    let bed = Bed::file();
    let store = bed.try_open("").await.expect("a store");
    claim(&store, keyed("acme", "k", "r")).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(bed.path().parent().expect("a folder")).expect("a folder").filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert_eq!(entry.metadata().expect("a file").permissions().mode() & 0o077, 0, "{name}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["store.db", "store.db-shm", "store.db-wal", "store.db.key", "store.db.lock"]);
}
