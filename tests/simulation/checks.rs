//! What must be true at the end of a run.

use passerelle::{
    clock,
    store::{Record, State},
    twin::{faults::OperationName, log::email_hash},
};
use passerelle_providers::model::Operation;
use serde_json::Value;
use tokio::{runtime::Runtime, time::Instant};

use crate::{
    client::{Client, Outcome, Verb, get},
    process::runtime,
    run::{Fleet, store},
};

/// The writes that a worker has still to do with.
pub(crate) fn open(observer: &Runtime, fleet: &Fleet) -> Vec<String> {
    let records = observer.block_on(records(fleet)).into_iter();
    let open = records.filter(|record| {
        record.state == State::Sending || record.state == State::Unknown && record.reconcile_after.is_some()
    });
    open.map(|record| format!("{record:?}")).collect()
}

async fn records(fleet: &Fleet) -> Vec<Record> {
    clock::simulated::follow(Some((fleet.world.lock().time_now(), Instant::now())));
    let store = store(&fleet.database).await;
    store.operations().list(Some("acme"), None, None, 500).await.expect("read")
}

/// Everything that is wrong.
pub(crate) fn all(fleet: &mut Fleet, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    // Lists show the last changes.
    fleet.rest(1_000);
    for client in clients {
        wrong.extend(effects(fleet, client));
        wrong.extend(repetitions(fleet, client));
        wrong.extend(customer(fleet, client));
    }
    wrong.extend(listed(fleet, clients));
    let broken = runtime().block_on(async {
        clock::simulated::follow(Some((fleet.world.lock().time_now(), Instant::now())));
        store(&fleet.database).await.audit().verify().await.expect("read").err()
    });
    wrong.extend(broken.map(|broken| format!("the audit chain is broken: {broken:?}")));
    wrong
}

/// When everything is copied, each customer has a row whose client knew of it before the switch was run. Without a row, the switch
/// would not know of the customer, and could be cut over without a copy.
pub(crate) fn rows(observer: &Runtime, fleet: &Fleet, clients: &[Client], ran_at: u64) -> Vec<String> {
    let rows = observer.block_on(async {
        clock::simulated::follow(Some((fleet.world.lock().time_now(), Instant::now())));
        store(&fleet.database).await.ids().all("acme", None, 500).await.expect("read")
    });
    let known = |client: &&Client| rows.iter().any(|row| Some(&row.public_id) == client.customer.as_ref());
    let before = clients.iter().filter(|client| client.created_at.is_some_and(|at| at < ran_at));
    let lost = before.filter(|client| !client.may_have_deleted() && !known(client));
    lost.map(|client| format!("the switch is copied, and the customer of client {} has no row", client.number))
        .collect()
}

/// The provider executed a create at most once: exactly once where the gateway answered with success, never where it refused. In a switch,
/// a copy makes the customer at the other provider, also at most once.
fn effects(fleet: &Fleet, client: &Client) -> Option<String> {
    let email = email_hash(&client.email());
    let created: Vec<Vec<String>> = fleet
        .world
        .lock()
        .providers
        .iter()
        .map(|provider| {
            let effects = provider.effects().into_iter().filter(|effect| {
                effect.operation == OperationName(Operation::Create) && effect.email_hash.as_ref() == Some(&email)
            });
            effects.map(|effect| effect.customer).collect()
        })
        .collect();
    let outcome = client.writes[0].outcome.as_ref()?;
    let is_right = match outcome {
        Outcome::Done(..) => {
            created.iter().all(|created| created.len() <= 1)
                && created.concat().iter().any(|id| Some(id) == client.customer.as_ref())
        }
        // A create that is held is one that the provider does not show.
        Outcome::Refused(..) | Outcome::Held => created.concat().is_empty(),
    };
    (!is_right).then(|| format!("client {}: {outcome:?}, and the providers created {created:?}", client.number))
}

/// The list shows each customer once, and none that was deleted.
fn listed(fleet: &mut Fleet, clients: &[Client]) -> Vec<String> {
    let (mut emails, mut path) = (Vec::new(), "/v1/customers?limit=100".to_owned());
    loop {
        let answer = match fleet.ask(|| get(&path)) {
            Ok(answer) => answer,
            Err(wrong) => return vec![wrong],
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(customers) = body["data"].as_array() else { return vec![format!("a list is answered {answer:?}")] };
        emails.extend(customers.iter().filter_map(|customer| customer["email"].as_str().map(str::to_owned)));
        let Some(cursor) = body["next_cursor"].as_str() else { break };
        path = format!("/v1/customers?limit=100&cursor={cursor}");
    }
    let wrong = clients.iter().filter_map(|client| {
        let count = emails.iter().filter(|email| **email == client.email()).count();
        let is_done = |verb| {
            client.writes.iter().any(|write| write.verb == verb && matches!(write.outcome, Some(Outcome::Done(..))))
        };
        let expected = usize::from(is_done(Verb::Create) && !is_done(Verb::Delete));
        (count != expected).then(|| format!("the list shows the customer of client {} {count} times", client.number))
    });
    wrong.collect()
}

/// A key has one answer.
fn repetitions(fleet: &mut Fleet, client: &Client) -> Option<String> {
    let is_deleted = client.writes.iter().any(|write| write.verb == Verb::Delete && write.outcome.is_some());
    client.writes.iter().enumerate().find_map(|(index, write)| {
        let Some(Outcome::Done(status, body)) = &write.outcome else { return None };
        let answer = match fleet.ask(|| client.request(index)) {
            Ok(answer) => answer,
            Err(wrong) => return Some(wrong),
        };
        let is_erased = is_deleted && write.verb != Verb::Delete && answer.status == 410;
        let is_same = (answer.status, &answer.body) == (*status, body);
        (!is_same && !is_erased).then(|| {
            let (number, verb) = (client.number, write.verb);
            format!("client {number} got {status} {body:?} for its {verb:?}, and at the end {answer:?}")
        })
    })
}

/// The customer has the values of the last write that was answered with success.
fn customer(fleet: &mut Fleet, client: &Client) -> Option<String> {
    let customer = client.customer.as_ref()?;
    let answer = match fleet.ask(|| get(&format!("/v1/customers/{customer}"))) {
        Ok(answer) => answer,
        Err(wrong) => return Some(wrong),
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let index = client.writes.iter().rposition(|write| write.outcome.is_some())?;
    let last = &client.writes[index];
    let is_right = match (last.verb, last.outcome.as_ref()?) {
        (Verb::Delete, Outcome::Done(..)) => answer.status == 404,
        (_, Outcome::Done(..)) => answer.status == 200 && body["name"] == client.name(index),
        (_, Outcome::Refused(..)) => answer.status == 200 && body["name"] != client.name(index),
        (_, Outcome::Held) => true,
    };
    (!is_right).then(|| format!("client {}: {:?}, and the customer is {answer:?}", client.number, last.outcome))
}
