//! A customer who is written ten times a second during the whole switch (R15), with the default settings, at one
//! gateway or in turns at two: the customer moves there and back, and no write is lost or refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use super::{
    bed::{Bed, Sides},
    clients::seed,
    operator::{Goal, Kills, is_quiet},
};
use crate::{
    bed::{Fleet, PATIENCE, until},
    client::Client,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let run = |name, fleet: Fleet| fleet.or_ignored(trial(name, move || written_all_the_time(fleet)));
    vec![
        run("a_customer_who_is_written_ten_times_a_second", Fleet::Alone),
        run("a_customer_who_is_written_ten_times_a_second_at_two", Fleet::Replicas),
    ]
}

/// Both providers take longer for an update than the time between two of the client's, so writes overlap, and no copy is
/// complete before the next write.
const SLOW: &str = "delay = \"120ms..160ms\"\nonly = [\"update\"]\n";

async fn home(bed: &Bed, path: &str, connection: &str) {
    until(&format!("the customer lives at `{connection}`"), async || {
        let read = bed.client.get(path).await?.json();
        (read["provider"]["connection"] == connection).then_some(())
    })
    .await;
}

/// Writes every 100 ms, whether or not the last write has been answered. Returns how many there were.
async fn write_on(client: Client, path: String, is_over: Arc<AtomicBool>) -> usize {
    let (mut ticks, mut writes, mut count) = (interval(Duration::from_millis(100)), JoinSet::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        count += 1;
        let (client, path) = (client.clone(), path.clone());
        writes.spawn(async move {
            let body = json!({ "phone": format!("+22177{count:07}") });
            loop {
                let answer = client.send(Method::PATCH, &path, None, Some(&body)).await.expect("an answer");
                // A busy machine: the database did not answer in time, and nothing was sent.
                if answer.status == 503 && answer.body.contains("the store cannot record writes now") {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
                break assert_eq!(answer.status, 200, "{}", answer.body);
            }
        });
    }
    while let Some(written) = writes.join_next().await {
        written.expect("the write is answered");
    }
    count
}

async fn written_all_the_time(fleet: Fleet) {
    let sides = Sides { providers: ["notchpay", "modempay"], faults: [SLOW, SLOW], connection: "", store: "" };
    let bed = sides.start(fleet);
    let customers = seed(&bed, 3).await;
    let path = format!("/v1/customers/{}", customers[0].id);
    let is_over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write_on(bed.client.clone(), path.clone(), Arc::clone(&is_over)));
    bed.operator.reach(Goal::Switched, &mut Kills::none(), PATIENCE).await;
    home(&bed, &path, "new").await;
    bed.operator.reach(Goal::Back, &mut Kills::none(), PATIENCE).await;
    home(&bed, &path, "main").await;
    is_over.store(true, Ordering::Relaxed);
    let count = writing.await.expect("every write is answered");
    bed.operator.wait("everything is copied", PATIENCE, is_quiet).await;
    let last = json!({ "phone": "+221770000000" });
    let answer = bed.client.send(Method::PATCH, &path, None, Some(&last)).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    bed.operator.wait("the last write is copied", PATIENCE, is_quiet).await;
    for twin in [&bed.main, &bed.new] {
        let records = super::bed::records_at(twin).await;
        let own: Vec<_> = records.iter().filter(|record| record["email"] == customers[0].email).collect();
        assert_eq!((own.len(), own[0]["phone"].as_str()), (1, Some("+221770000000")), "{own:?}");
    }
    eprintln!("{}: {count} writes to one customer", fleet.description());
}
