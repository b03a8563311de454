//! Writes whose outcome is unknown while a switch goes on: copies of identical customers, and writes to a target that
//! answers nothing any more.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use libtest_mimic::Trial;
use passerelle::store::State;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    bed::{Sides, person, phone, records_at},
    checks::{Flips, check},
    clients::{Known, seed},
    operator::{Goal, Kills},
    stops::is_back,
};
use crate::{
    bed::{Fleet, PATIENCE, sized, until},
    client::Outcome,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_switch_of_identical_customers_killed_between_effect_and_row", identical),
        trial("a_rollback_while_the_target_answers_nothing", black_hole),
    ]
}

/// Modem Pay has neither metadata nor a unique attribute, so nothing in its records tells the copies of identical
/// customers apart. Every create is executed and never answered, and the gateway is killed after each.
async fn identical() {
    const CUSTOMERS: usize = 3;
    let sides = Sides {
        providers: ["modempay", "modempay"],
        faults: ["", "hang_after = 1.0\nonly = [\"create\"]\n"],
        connection: "timeout = \"300ms\"\nvisibility_lag = \"200ms\"\non_ambiguous = \"resend_after_lag\"",
        store: "",
    };
    let bed = sides.start(Fleet::Alone);
    let mut ids = BTreeSet::new();
    for number in 0..CUSTOMERS {
        ids.insert(bed.create(&format!("seed-{number}"), &person(0)).await);
    }
    assert_eq!(ids.len(), CUSTOMERS);
    let view = bed.operator.reach(Goal::Planned, &mut Kills::none(), PATIENCE).await;
    let decisions: Vec<Value> = ids.iter().map(|id| json!({ "public_id": id, "decision": "create" })).collect();
    let decided = bed.operator.command(Some(&view), "decisions", &json!({ "decisions": decisions })).await;
    assert_eq!(decided.as_ref().map(|(status, _)| *status), Some(200), "{decided:?}");
    let view = bed.operator.view().await;
    let begun = bed.operator.command(view.as_ref(), "run", &Value::Null).await;
    assert_eq!(begun.as_ref().map(|(status, _)| *status), Some(200), "{begun:?}");
    let effects = || bed.new.created().values().map(Vec::len).sum::<usize>();
    let (mut killed_at, until) = (0, Instant::now() + sized(Duration::from_secs(5), PATIENCE));
    loop {
        let now = effects();
        if now > killed_at {
            bed.gateways[0].kill();
            bed.gateways[0].start();
            killed_at = now;
        }
        let Some(view) = bed.operator.view().await else { continue };
        let is_over = view["state"] == "copied" && view["records"]["in_doubt"] == 0 && view["marks"]["pending"] == 0;
        // What is held waits for the operator: that is no loss and no double.
        if is_over || Instant::now() >= until {
            break;
        }
        sleep(Duration::from_millis(2)).await;
    }
    let records: Vec<Value> = bed
        .operator
        .records()
        .await
        .into_iter()
        .filter(|one| one["public_id"].as_str().is_some_and(|id| ids.contains(id)))
        .collect();
    let store = bed.store().await;
    let rows = store.ids().all("acme", None, 100).await.expect("read");
    let unknown = store.operations().list(Some("acme"), Some(State::Unknown), None, 100).await.expect("read").len();
    drop(store);
    let copies: BTreeSet<&str> =
        rows.iter().filter(|row| ids.contains(&row.public_id)).filter_map(|row| row.id_at("new")).collect();
    let at_target = records_at(&bed.new).await.iter().filter(|record| record["email"] == person(0)["email"]).count();
    eprintln!("identical customers: {} rows, {at_target} records, {unknown} unknown", copies.len());
    // A gateway that is killed after its claim and before its request leaves a write that the target never received. The
    // records of the others look like its effect, so it is not sent again: it is held, with the writes of the others.
    assert!((1..=CUSTOMERS).contains(&at_target), "at most one record each: {at_target} {records:#?}");
    assert!(copies.len() <= at_target, "a copy is a record of the target: {rows:#?} {records:#?}");
    assert_eq!(copies.len() + unknown, CUSTOMERS, "no record belongs to two customers: {rows:#?} {records:#?}");
}

/// The target stops after the cutover, with unknown writes. The rollback is immediate. The customers of these writes stay
/// at the target; the others live at the source. Then the target executes what it had received.
async fn black_hole() {
    let writes = sized(10, 100);
    let sides = Sides {
        providers: ["notchpay", "bitnob"],
        faults: ["", ""],
        connection: "timeout = \"400ms\"\nvisibility_lag = \"300ms\"\non_ambiguous = \"resend_after_lag\"",
        store: "",
    };
    let bed = sides.start(Fleet::Alone);
    let mut customers = seed(&bed, writes * 2).await;
    let sent = Timestamp::now();
    bed.operator.reach(Goal::Switched, &mut Kills::none(), PATIENCE).await;
    let seen = Timestamp::now();
    let moved = |view: &Value| view["pinned"]["main"].as_u64() == Some(0);
    bed.operator.wait("every customer has moved", PATIENCE, moved).await;
    bed.new.signal(Signal::STOP);
    let mut sending = Vec::new();
    for (number, known) in customers.iter_mut().take(writes).enumerate() {
        known.phone = phone(1000 + number);
        let (client, path, changed) =
            (bed.client.clone(), format!("/v1/customers/{}", known.id), json!({ "phone": known.phone }));
        sending.push(tokio::spawn(async move {
            client.send(Method::PATCH, &path, Some(&format!("doubt-{number}")), Some(&changed)).await
        }));
    }
    for number in 0..writes / 5 {
        let (client, body) = (bed.client.clone(), person(2000 + number));
        sending.push(tokio::spawn(async move { client.create(Some(&format!("create-{number}")), &body).await }));
    }
    for answer in sending {
        let answer = answer.await.expect("no panic").expect("an answer");
        assert!(answer.status >= 500, "{} {}", answer.status, answer.body);
    }
    let back = Timestamp::now();
    let view = bed.operator.view().await;
    let begun = Instant::now();
    let rolled = bed.operator.command(view.as_ref(), "rollback", &Value::Null).await.expect("an answer");
    assert_eq!((rolled.0, &rolled.1["state"]), (200, &json!("copied")), "{}", rolled.1);
    eprintln!("the rollback took {:?} with {} unknown writes", begun.elapsed(), writes + writes / 5);
    let flips = Flips { cutover: [sent, seen], rollback: [back, Timestamp::now()] };
    let home = async |known: &Known| {
        let read = bed.client.get(&format!("/v1/customers/{}", known.id)).await.expect("an answer");
        (read.status, read.json()["provider"]["connection"].as_str().unwrap_or_default().to_owned())
    };
    for known in &customers[writes..] {
        assert_eq!(home(known).await, (200, "main".to_owned()), "{known:?}");
    }
    let records = bed.main.created().len();
    let fresh = bed.create("fresh", &person(3000)).await;
    assert_eq!(bed.main.created().len(), records + 1, "new customers are created at the source");
    customers.push(Known::of(fresh, 3000));
    for known in &customers[..2] {
        let (status, _) = home(known).await;
        assert!(status >= 500, "its home is the target, and it does not answer: {known:?}");
    }
    bed.new.signal(Signal::CONT);
    for (number, known) in customers.iter().take(writes).enumerate() {
        let (path, changed) = (format!("/v1/customers/{}", known.id), json!({ "phone": known.phone }));
        let key = format!("doubt-{number}");
        let outcome = bed.client.send_until_known(Method::PATCH, &path, &key, Some(&changed)).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    for number in 0..writes / 5 {
        let id = bed.create(&format!("create-{number}"), &person(2000 + number)).await;
        customers.push(Known::of(id, 2000 + number));
    }
    bed.operator.wait("everything is copied back", PATIENCE, is_back).await;
    until("the home is the source", async || (home(&customers[0]).await.1 == "main").then_some(())).await;
    let figures = check(&bed, &customers, &flips).await;
    eprintln!("a rollback from a target that answers nothing: {figures}");
}
