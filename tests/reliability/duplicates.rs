//! One key, one effect, one answer (I1, I6).

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};

use crate::{
    bed::{Fleet, Setup, Twin, assert_agree, count, records_of, sized},
    client::{Client, Outcome, email, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let run = |name, fleet: Fleet| fleet.or_ignored(trial(name, move || one_effect(fleet)));
    vec![
        run("concurrent_duplicates_have_one_effect_and_one_answer", Fleet::Alone),
        run("concurrent_duplicates_over_two_gateways_have_one_effect_and_one_answer", Fleet::Replicas),
    ]
}

/// Sends many concurrent requests with the same key, for several keys. Then sends every request again, one after
/// another.
async fn one_effect(fleet: Fleet) {
    let (keys, duplicates) = sized((6, 60), (20, 1000));
    let twin = Twin::start("lomi", "delay = \"20ms..120ms\"\nonly = [\"create\"]");
    let gateways = fleet.start_for(&twin, &Setup::of(""));
    let client = Client::between(&gateways);
    let mut answers = Vec::new();
    for key in 0..keys {
        let requests: Vec<_> = (0..duplicates)
            .map(|_| {
                let client = client.clone();
                let key_text = format!("key-{key}");
                tokio::spawn(async move { client.create(Some(&key_text), &person(key)).await.expect("an answer") })
            })
            .collect();
        let mut bodies = BTreeSet::new();
        let (mut fresh, mut refused, mut unknown) = (0, 0, 0);
        for request in requests {
            let answer = request.await.expect("no panic");
            match (answer.status, answer.code().as_str()) {
                (201, _) => {
                    fresh += u32::from(answer.header("idempotent-replayed").is_empty());
                    bodies.insert(answer.body);
                }
                // The database did not answer in time. The same key gets the answer later.
                (504, "outcome_unknown") => unknown += 1,
                (status, code) => {
                    assert_eq!((status, code), (409, "idempotency_in_progress"));
                    assert!(!answer.header("retry-after").is_empty(), "a refusal says when to retry");
                    refused += 1;
                }
            }
        }
        if unknown > 0 {
            eprintln!("key {key}: {unknown} answers outcome_unknown, because the database was slow");
            match client.create_until_known(&format!("key-{key}"), &person(key)).await {
                Outcome::Done(answer) => drop(bodies.insert(answer.body)),
                outcome => panic!("key {key} has no answer: {outcome:?}"),
            }
        }
        assert_eq!(bodies.len(), 1, "one answer");
        assert!(fresh == 1 || (fresh == 0 && unknown > 0), "{fresh} answers that are not a replay");
        assert!(refused > 0, "no duplicate came while the first create was in flight");
        answers.push(bodies.pop_first().unwrap_or_default());
    }
    let before = twin.requests();
    let replays = sized(20, 1000);
    let answers = Arc::new(answers);
    let mut times = Vec::new();
    for (key, first) in answers.iter().enumerate() {
        for _ in 0..replays {
            let begun = Instant::now();
            let again = client.create(Some(&format!("key-{key}")), &person(key)).await.expect("an answer");
            times.push(begun.elapsed());
            assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
            assert_eq!(again.body, *first, "byte for byte");
        }
    }
    assert_eq!(twin.requests(), before, "a replay sends no request to the vendor");
    times.sort();
    let created = twin.created();
    for key in 0..keys {
        assert_eq!(created.get(&email_hash(&email(key))).map_or(0, Vec::len), 1, "key {key}");
    }
    let records = records_of(&gateways).await;
    assert_agree(&twin, &records);
    assert_eq!((records.len(), count(&records, State::Done)), (keys, keys));
    eprintln!(
        "duplicates: {}, {duplicates} x {keys} keys, {keys} effects; 99 % of replays within {:?}",
        fleet.description(),
        times[times.len() * 99 / 100]
    );
}
