//! A database file that an earlier version wrote: it opens, and every operation has the state that it had then.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use libtest_mimic::Trial;
use passerelle::store::{OperationId, State};
use serde_json::Value;

use crate::{bed::Bed, trial::trial};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/previous");

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("previous::a_file_of_an_earlier_version_opens", a_file_of_an_earlier_version_opens)]
}

async fn a_file_of_an_earlier_version_opens() {
    let bed = Bed::file();
    for (name, copy) in [("store.db", bed.path()), ("store.db.key", bed.path().with_extension("db.key"))] {
        fs::copy(Path::new(FILES).join(name), &copy).expect("a copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let text = fs::read_to_string(Path::new(FILES).join("requests.json")).expect("the requests");
    let sent: Vec<Value> = serde_json::from_str(&text).expect("requests");
    let store = bed.try_open("").await.expect("a store");
    let records = store.operations().list(None, None, None, 100).await.expect("the writes");
    let records: BTreeMap<OperationId, _> = records.into_iter().map(|record| (record.id, record)).collect();
    assert_eq!(records.len(), sent.len());
    // The state, and whether the key, the command, the answer, and a time to reconcile are kept.
    let expected = |name: &str| match name {
        "failed update" => (State::Failed, [true, false, true, false]),
        "keyless create" => (State::Done, [false, false, true, false]),
        "erased create" => (State::Done, [true, false, false, false]),
        "held create" => (State::Unknown, [true, true, true, false]),
        "unknown create" => (State::Unknown, [true, true, true, true]),
        "sending create" => (State::Sending, [true, true, false, false]),
        _ => (State::Done, [true, false, true, false]),
    };
    for sent in &sent {
        let text = |member: &str| sent[member].as_str().unwrap_or_default();
        let record = &records[&text("operation").parse().expect("an id")];
        let kept = [record.keyed, record.command.is_some(), record.answer.is_some(), record.reconcile_after.is_some()];
        assert_eq!((record.state, kept), expected(text("name")), "{}", text("name"));
        if let (State::Done | State::Failed, Some(answer)) = (record.state, &record.answer) {
            assert_eq!(answer.body, text("answer"), "{}", text("name"));
        }
    }
    let head = store.audit().verify().await.expect("read").expect("an unbroken chain");
    assert!(head.sequence > 20, "{} records", head.sequence);
}
