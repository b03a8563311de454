//! A replica that is stopped for longer than its lease, before the flip and after it, and then continues (R11, R13, R19).

use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use passerelle::twin::{faults::OperationName, log};
use passerelle_providers::model::Operation;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

use super::{
    bed::{Bed, Sides},
    checks::{Flips, check},
    clients::{Clients, seed},
    operator::{Goal, Kills, Operator, is_quiet},
};
use crate::{
    bed::{Fleet, PATIENCE, Random, until},
    client::{Client, Outcome},
    cluster,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        cluster::or_ignored(trial("a_switch_with_a_replica_that_stopped_before_the_flip", before_the_flip)),
        cluster::or_ignored(trial("a_switch_with_a_replica_that_stopped_after_the_flip", after_the_flip)),
    ]
}

/// Longer than the lease of two seconds.
const PAST_THE_LEASE: Duration = Duration::from_millis(2500);

/// Two replicas. The first one will stop.
struct Pair {
    /// Its client and its operator use the living replica.
    bed: Bed,
    zombie: Client,
}

impl Pair {
    fn start() -> Self {
        // A replica that stops has requests in flight.
        let slow = "delay = \"50ms..150ms\"\nonly = [\"retrieve\", \"create\", \"update\"]\n";
        let sides = Sides {
            providers: ["notchpay", "notchpay"],
            faults: [slow, slow],
            connection: "timeout = \"3s\"\nvisibility_lag = \"100ms\"\non_ambiguous = \"resend_after_lag\"",
            store: "lease = \"2s\"",
        };
        let mut bed = sides.start(Fleet::Replicas);
        let zombie = Client::of(&bed.gateways[0]);
        bed.client = Client::of(&bed.gateways[1]);
        bed.operator = Operator::of(&bed.gateways[1..]);
        Self { bed, zombie }
    }

    fn updates(&self) -> [usize; 2] {
        [&self.bed.main, &self.bed.new].map(|twin| {
            let log = twin.log();
            log::effects(&log).filter(|effect| effect.operation == OperationName(Operation::Update)).count()
        })
    }
}

/// An update of the metadata reads first. The replica stops between that and the write. The other replica executes the
/// update, makes the target active, and executes a newer update there. Then the first one continues: it sends nothing.
async fn before_the_flip() {
    let pair = Pair::start();
    let bed = &pair.bed;
    let customers = seed(bed, 8).await;
    bed.operator.reach(Goal::Verified, &mut Kills::none(), PATIENCE).await;
    let path = format!("/v1/customers/{}", customers[0].id);
    let tier = |tier: &str| json!({ "metadata": { "tier": tier } });
    let before = bed.main.requests();
    let request = tokio::spawn({
        let (zombie, path) = (pair.zombie.clone(), path.clone());
        async move { zombie.send(Method::PATCH, &path, Some("older"), Some(&tier("silver"))).await }
    });
    let is_read = |request: &&log::Received| request.operation == Some(OperationName(Operation::Retrieve));
    until("the update has sent its read", async || {
        let log = bed.main.log();
        (log::requests(&log).skip(before).filter(is_read).count() > 0).then_some(())
    })
    .await;
    bed.gateways[0].signal(Signal::STOP);
    let outcome = bed.client.send_until_known(Method::PATCH, &path, "older", Some(&tier("silver"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let sent = Timestamp::now();
    bed.operator.reach(Goal::Switched, &mut Kills::none(), PATIENCE).await;
    let seen = Timestamp::now();
    until("the customer has moved", async || {
        let read = bed.client.get(&path).await?.json();
        (read["provider"]["connection"] == "new").then_some(())
    })
    .await;
    let outcome = bed.client.send_until_known(Method::PATCH, &path, "newer", Some(&tier("gold"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    bed.operator.wait("the newer update is copied back", PATIENCE, is_quiet).await;
    let updates = pair.updates();
    bed.gateways[0].signal(Signal::CONT);
    let late = request.await.expect("no panic");
    assert!(late.as_ref().is_none_or(|late| late.status >= 400), "{late:?}");
    // Through the replica that was stopped, too.
    until("it reads the newest state", async || {
        let read = pair.zombie.get(&path).await.filter(|answer| answer.status == 200)?.json();
        assert_eq!(
            (read["metadata"]["tier"].as_str(), read["provider"]["connection"].as_str()),
            (Some("gold"), Some("new"))
        );
        Some(())
    })
    .await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(pair.updates(), updates, "the late replica sends nothing");
    let back = Timestamp::now();
    bed.operator.reach(Goal::Back, &mut Kills::none(), PATIENCE).await;
    let flips = Flips { cutover: [sent, seen], rollback: [back, Timestamp::now()] };
    bed.operator.wait("everything is copied back", PATIENCE, is_back).await;
    check(bed, &customers, &flips).await;
}

/// The replica stops with copies and writes in flight, right after the flip. The other one goes on with the switch, and
/// clients write. Then the first one continues.
async fn after_the_flip() {
    let pair = Pair::start();
    let bed = &pair.bed;
    let customers = seed(bed, 16).await;
    bed.operator.reach(Goal::Verified, &mut Kills::none(), PATIENCE).await;
    let clients = Clients::start(&bed.client, &customers, &Random::new(3));
    let sent = Timestamp::now();
    bed.operator.reach(Goal::Switched, &mut Kills::none(), PATIENCE).await;
    let seen = Timestamp::now();
    // Clients write meanwhile, so that there are copies to make.
    sleep(Duration::from_millis(300)).await;
    bed.gateways[0].signal(Signal::STOP);
    sleep(PAST_THE_LEASE).await;
    bed.operator.wait("the other replica works on the switch", PATIENCE, |view| view["blocked_by"].is_null()).await;
    bed.gateways[0].signal(Signal::CONT);
    sleep(Duration::from_millis(500)).await;
    let customers = clients.stop().await;
    for known in &customers {
        until("it is read through the late replica", async || known.read(&pair.zombie).await.then_some(())).await;
    }
    bed.operator.wait("everything is copied", PATIENCE, is_quiet).await;
    let back = Timestamp::now();
    bed.operator.reach(Goal::Back, &mut Kills::none(), PATIENCE).await;
    let flips = Flips { cutover: [sent, seen], rollback: [back, Timestamp::now()] };
    bed.operator.wait("everything is copied back", PATIENCE, is_back).await;
    check(bed, &customers, &flips).await;
}

/// Whether everything is copied, and no customer is pinned to the target.
pub(super) fn is_back(view: &serde_json::Value) -> bool {
    is_quiet(view) && view["pinned"]["new"].as_u64().unwrap_or_default() == 0
}
