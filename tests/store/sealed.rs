//! The columns of bytes in both schemas: which of them are sealed, and that a new key seals all of those again.

use std::{collections::BTreeMap, time::Duration};

use libtest_mimic::Trial;
use passerelle::store::{CarriedChanges, ContactKind, ContactsOf, CopyState, End, ShownRecord};
use passerelle_providers::{engine::carry::Change, model::Field};

use crate::{
    bed::{Bed, answer, claim, key, keyed},
    cluster, server,
    trial::trial,
};

/// The columns whose values are sealed. Each must be in the list of `src/store/sealed.rs`, too.
const SEALED: [&str; 5] =
    ["carried.value", "meta.value", "operations.answer", "operations.command", "signatures.answer"];
/// The columns of bytes that contain hashes. A new key does not change them.
const PLAIN: [&str; 13] = [
    "audit.hash",
    "audit.request_hash",
    "carried.native_hash",
    "chain.hash",
    "contacts.hash",
    "customer_ids.seen",
    "customers.email_hash",
    "customers.phone_hash",
    "customers.shown",
    "operations.email_hash",
    "operations.fingerprint",
    "operations.key_hash",
    "operations.phone_hash",
];

/// The length of the version and the id of the key, with which sealed bytes begin.
const PREFIX: usize = 9;

pub(crate) fn trials() -> Vec<Trial> {
    let on_postgres = || async { a_new_key_reseals_every_sealed_column(server::bed()).await };
    vec![
        trial("file::a_new_key_reseals_every_sealed_column", || a_new_key_reseals_every_sealed_column(Bed::file())),
        cluster::or_ignored(trial("postgres::a_new_key_reseals_every_sealed_column", on_postgres)),
    ]
}

/// All values of each column of bytes, by `table.column`.
type Columns = BTreeMap<String, Vec<Vec<u8>>>;

async fn columns(bed: &Bed) -> Columns {
    let mut found = Columns::new();
    if bed.shared {
        let (client, connection) =
            tokio_postgres::connect(&bed.url, tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let select = "SELECT table_name::text, column_name::text FROM information_schema.columns \
                      WHERE table_schema = 'public' AND data_type = 'bytea'";
        for row in client.query(select, &[]).await.expect("the columns") {
            let (table, column): (String, String) = (row.get(0), row.get(1));
            let select = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
            let values = client.query(&select, &[]).await.expect("the values");
            found.insert(format!("{table}.{column}"), values.iter().map(|row| row.get(0)).collect());
        }
    } else {
        let file = rusqlite::Connection::open(bed.path()).expect("the file");
        let select = "SELECT tables.name, columns.name FROM sqlite_schema AS tables \
                      JOIN pragma_table_info(tables.name) AS columns \
                      WHERE tables.type = 'table' AND columns.type = 'BLOB'";
        let mut statement = file.prepare(select).expect("a statement");
        let names = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("the columns");
        for (table, column) in names.map(|name| name.expect("a column")).collect::<Vec<(String, String)>>() {
            let select = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
            let mut statement = file.prepare(&select).expect("a statement");
            let values = statement.query_map([], |row| row.get(0)).expect("the values");
            found.insert(format!("{table}.{column}"), values.map(|value| value.expect("bytes")).collect());
        }
    }
    found
}

fn city(customer: &str) -> CarriedChanges {
    let put = Change::Put { field: Field::City, value: Some("Dakar".to_owned()), native: Some([7; 8]) };
    let [public_id, connection] = [customer, "main"].map(str::to_owned);
    CarriedChanges { public_id, connection, changes: vec![put], forgets: false }
}

async fn a_new_key_reseals_every_sealed_column(bed: Bed) {
    let store = bed.open().await;
    let of = ContactsOf { merchant: "acme", connection: "main" };
    let create = async |customer: &str| {
        let id = claim(&store, keyed("acme", customer, "r")).await;
        let email = format!("{customer}@example.com");
        let contacts = [(ContactKind::Email, Some(email.as_str())), (ContactKind::Phone, Some("+221771234567"))];
        let contacts = store.contacts().changes(of, contacts);
        let end =
            End::Done { customer: Some(customer.to_owned()), contacts, carried: city(customer), answer: answer(201) };
        store.operations().finish(id, 1, end).await.expect("finished");
    };
    create("c1").await;
    // The contacts of an old row move to the table `contacts`.
    bed.clock.move_by(Duration::from_hours(31 * 24));
    store.operations().reap().await.expect("reaped");
    create("c2").await;
    let open = claim(&store, keyed("acme", "open", "r")).await;
    let unknown = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(open, 1, unknown).await.expect("finished");
    store.ids().route("routed", "main").await.expect("stored");
    let record = ShownRecord { provider_id: "c3", email: Some("c3@example.com"), phone: Some("+221771234567") };
    store.ids().adopt("routed", "main", &[record]).await.expect("adopted");
    let copy = CopyState { seen: vec![1; 8], ..CopyState::created("c3", "new", "n3") };
    store.ids().keep_copy("routed", copy).await.expect("stored");
    let signature = store.signatures().id(&[1; 32], &[2; 32]);
    assert_eq!(store.signatures().admit(&signature, true).await, Ok(None));
    store.signatures().keep_answer(&signature, Some(&answer(200))).await.expect("stored");
    drop(store);
    let before = columns(&bed).await;
    let old = before["meta.value"][0][..PREFIX].to_vec();
    for (column, values) in &before {
        assert!(!values.is_empty(), "{column} has no values: write one into it at the beginning of this test");
        let is_sealed = values.iter().all(|value| value.starts_with(&old));
        let list = if is_sealed { &SEALED[..] } else { &PLAIN[..] };
        assert!(list.contains(&column.as_str()), "{column} is missing from the lists of this test");
    }
    let rotated = format!("key = \"{}\"\nprevious_keys = [\"{}\"]", key('2'), key('1'));
    drop(bed.try_open(&rotated).await.expect("a store"));
    for (column, values) in columns(&bed).await {
        let has_old_key = values.iter().any(|value| value.starts_with(&old));
        assert!(
            !has_old_key,
            "{column} is missing from SEALED in src/store/sealed.rs: a new key does not seal it again"
        );
        if PLAIN.contains(&column.as_str()) {
            assert_eq!(values, before[&column], "{column} contains hashes, which must not change");
        }
    }
    // The new key alone opens everything.
    let store = bed.try_open(&format!("key = \"{}\"", key('2'))).await.expect("a store");
    for customer in ["c1", "c2"] {
        let found = store.contacts().find(of, ContactKind::Email, &format!("{customer}@example.com"), 10).await;
        assert_eq!(found, Ok(vec![customer.to_owned()]));
        let kept = store.carried().parts("acme", &[customer]).await.expect("read");
        assert_eq!(kept[0][0].value.as_deref(), Some("Dakar"));
    }
    assert_eq!(store.operations().list(None, None, None, 10).await.map(|records| records.len()), Ok(2));
}
