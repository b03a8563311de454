//! How switches are driven: stopped, slowed down, stalled, and gone on with.

use std::time::{Duration, Instant};

use passerelle::switch::{
    service::{RunOptions, SwitchService},
    view::{BlockedCode, SwitchState, SwitchView},
};

use super::{
    bed,
    merchant::{Bed, decided, is_copied, to_new},
};
use crate::partial_lists::open;

/// `--first`: some customers are copied, then the operator looks at them, then the rest is copied.
#[tokio::test]
async fn a_run_of_the_first_customers_stops_after_them_and_goes_on() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    bed.create(0..12).await;
    let planned = bed.plan().await;
    let first = RunOptions { first: Some(3), ..RunOptions::default() };
    bed.switches().run(&planned.id, first, decided(&planned)).await.expect("it runs");
    let is_stopped =
        |view: &SwitchView| view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::Stopped);
    let stopped = bed.wait(&planned.id, "the end of the first", is_stopped).await;
    assert_eq!(stopped.records.total - stopped.records.pending, 3, "{stopped:#?}");
    assert_eq!(stopped.next.as_deref(), Some("passerelle switch run acme"));
    bed.run(&stopped).await;
    bed.wait(&planned.id, "the copies", is_copied).await;
}

/// The number of writes, when some looks of the watcher have added none.
async fn quiet(bed: &Bed) -> usize {
    let mut writes = bed.gateway.audited().await;
    loop {
        tokio::time::sleep(Duration::from_millis(800)).await;
        let now = bed.gateway.audited().await;
        if now == writes {
            return now;
        }
        writes = now;
    }
}

/// `stop` ends sending (`src/switch/control.rs` tests how soon); the rate is kept; `run` goes on where it was.
#[tokio::test]
async fn a_stopped_switch_sends_nothing_and_goes_on_where_it_was() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    bed.create(0..20).await;
    let planned = bed.plan().await;
    bed.switches().set_rate(&planned.id, Some("5/s".to_owned())).await.expect("set");
    bed.run(&planned).await;
    let copying = bed.wait(&planned.id, "a copy", |view| view.records.created + view.records.linked > 0).await;
    assert_eq!(copying.eta_seconds, None, "no customers were counted in a time yet");
    bed.switches().stop(&planned.id).await.expect("it stops");
    bed.wait(&planned.id, "the end of the work", |view| view.blocked_by.is_some()).await;
    // What was in flight ends.
    let writes = quiet(&bed).await;
    let stopped = bed.get(&planned.id).await;
    assert!(stopped.records.pending > 0, "{stopped:#?}");
    bed.switches().set_rate(&planned.id, None).await.expect("set");
    assert_eq!(quiet(&bed).await, writes, "nothing was sent");
    bed.run(&stopped).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(copied.records.total, stopped.records.total);
}

/// R22: customers who come to the source by other ways than the gateway are found by the next pass.
#[tokio::test]
async fn a_pass_finds_customers_who_came_to_the_source_later() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    bed.create(0..2).await;
    let copied = bed.copied().await;
    let later = bed.create_one("Fatou Diop", "fatou@example.com").await;
    bed.run(&copied).await;
    let has_more = |view: &SwitchView| is_copied(view) && view.records.total == copied.records.total + 1;
    let view = bed.wait(&copied.id, "the next pass", has_more).await;
    assert_eq!(view.state, SwitchState::Copied);
    assert_eq!(bed.home(&later).await, "old");
}

/// 5.7: a provider that cannot be reached is named, and the work goes on when it is back.
#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_named_and_the_work_goes_on() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..2).await;
    let copied = bed.copied().await;
    let lost = bed.configuration("old").replace(
        "provider = \"modempay\", sandbox = true",
        "provider = \"modempay\", base_url = \"http://127.0.0.1:9\", credentials = { secret_key = \"secret\" }",
    );
    let lost = format!("[outbound]\nallow_insecure = true\n{lost}");
    bed.gateway.try_reload(&lost).await.expect("reloaded");
    let changed = serde_json::json!({ "name": "Fatou Diop" });
    let answer = bed.gateway.patch(&format!("/v1/customers/{}", ids[0]), changed).await;
    assert_eq!(answer.status, 200, "the home answers: {}", answer.text);
    let is_named = |view: &SwitchView| {
        view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::ProviderUnavailable)
    };
    let blocked = bed.wait(&copied.id, "the stall", is_named).await;
    assert_eq!(blocked.marks.pending, 1);
    let is_time = |text: &Option<String>| text.as_ref().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
    assert!(is_time(&blocked.marks.oldest_at) && is_time(&blocked.progress_at), "{blocked:#?}");
    bed.gateway.try_reload(&bed.configuration("old")).await.expect("reloaded");
    let goes_on = |view: &SwitchView| is_copied(view) && view.blocked_by.is_none();
    bed.wait(&copied.id, "the copy of the mark", goes_on).await;
}

/// R19, R22: a process that ends in the middle of a plan or of a run is followed by another one, which goes on where the last
/// page was stored and makes no second record.
#[tokio::test]
async fn another_process_goes_on_where_the_first_one_ended() {
    let mut bed = bed::Bed::start("notchpay", "modempay", "").await;
    for number in 0..15 {
        bed.create(&serde_json::json!({ "name": format!("Awa {number}"), "email": format!("a{number}@example.com") }))
            .await;
    }
    let id = {
        let switches = bed.gateway.switches();
        let planned = switches.plan("acme", to_new(), None).await.expect("a plan");
        switches.set_rate(&planned.id, Some("10/s".to_owned())).await.expect("set");
        planned.id
    };
    let view = async |bed: &bed::Bed| bed.gateway.switches().get(&id).await.expect("a switch");
    let until = async |bed: &bed::Bed, is_so: &dyn Fn(&SwitchView) -> bool| {
        let begun = Instant::now();
        loop {
            let view = view(bed).await;
            if is_so(&view) {
                return view;
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "{view:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut total = 0;
    for _ in 0..2 {
        // Each process ends after it has done a part.
        let now = view(&bed).await;
        if now.state == SwitchState::Planned {
            bed.gateway.switches().run(&id, RunOptions::default(), decided(&now)).await.expect("it runs");
        }
        let has_some = |view: &SwitchView| match view.state {
            SwitchState::Planning => view.records.total > 0,
            SwitchState::Planned => true,
            _ => view.records.created > 2,
        };
        until(&bed, &has_some).await;
        let bed::Bed { gateway, old, new, folder, .. } = bed;
        gateway.stop().await;
        drop(open(&folder.path().join("store.db")).await);
        bed = bed::Bed::between(old, new, folder).await;
        let now = until(&bed, &|view| view.state != SwitchState::Planning).await;
        total = now.records.total;
    }
    bed.gateway.switches().set_rate(&id, None).await.expect("set");
    let now = view(&bed).await;
    if now.state == SwitchState::Planned {
        bed.gateway.switches().run(&id, RunOptions::default(), decided(&now)).await.expect("it runs");
    }
    let copied = until(&bed, &is_copied).await;
    assert_eq!(copied.records.total, total, "{copied:#?}");
    assert!(copied.records.created >= 15, "{copied:#?}");
    for number in 0..15 {
        assert_eq!(bed.new.with_email(&format!("a{number}@example.com")).await.len(), 1, "customer {number}");
    }
}

/// R22: between the plan and the first `run` no claim writes a row, so a deletion leaves no tombstone.
#[tokio::test]
async fn a_customer_who_is_deleted_between_the_plan_and_the_run_is_gone_and_stops_nothing() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..3).await;
    let planned = bed.plan().await;
    let request = bed.gateway.request(reqwest::Method::DELETE, &format!("/v1/customers/{}", ids[1]));
    assert_eq!(bed.gateway.send(request).await.status, 200);
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(copied.records.gone, 1, "{copied:#?}");
    let gone = bed.records(&copied.id, Some(passerelle::switch::view::Outcome::Gone)).await;
    assert_eq!((gone[0].public_id.as_deref(), gone[0].code.as_deref()), (Some(&*ids[1]), Some("customer_gone")));
}
