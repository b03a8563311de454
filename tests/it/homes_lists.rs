//! Lists and look-ups of a merchant who switches providers (R7, R8).

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};
use serde_json::json;

use crate::{
    homes_bed::{Shown, Two, check, text},
    stand_in::{self, StandIn},
    support::JsonText,
};

/// A customer whose records at both connections have other e-mail addresses.
async fn at_both(two: &Two, number: usize) -> (String, [String; 2]) {
    let name = format!("Awa {number}");
    let mut ids = Vec::new();
    for connection in ["old", "new"] {
        ids.push(two.create(connection, &name, &format!("awa{number}@{connection}.example.com")).await);
    }
    let [old, new] = <[String; 2]>::try_from(ids).expect("two");
    (format!("cus_{number}"), [old, new])
}

/// R7: the customer lives elsewhere, and the active connection has no record of it, or one with another address.
#[tokio::test]
async fn a_look_up_finds_a_customer_at_its_home_and_never_by_a_copy() {
    let two = Two::start("notchpay", "modempay").await;
    let (public, [old, new]) = at_both(&two, 1).await;
    let tail = two.create("old", "Fatou Diop", "fatou@example.com").await;
    two.open("new").await;
    two.add(&public, "old", &old, Some("old")).await;
    two.add(&public, "new", &new, None).await;
    two.add(&tail, "old", &tail, Some("old")).await;
    // A list gives the rows their contacts.
    two.flip().await;
    assert!(two.walk("limit=100", async |_| ()).await.len() > 2);
    two.flip().await;
    for (email, expected) in [
        ("awa1@old.example.com", Some((&*public, "old", &*old))),
        ("awa1@new.example.com", None),
        ("fatou@example.com", Some((&*tail, "old", &*tail))),
        ("unknown@example.com", None),
    ] {
        let found = two.gateway.get(&format!("/v1/customers/lookup?email={email}")).await;
        let filtered = two.gateway.get(&format!("/v1/customers?email={email}")).await;
        let data = filtered.body["data"].as_array().expect("a page");
        if let Some(expected) = expected {
            check(&found, expected);
            assert_eq!(data.len(), 1, "{email}: {}", filtered.text);
            assert_eq!((text(&data[0], "id"), text(&data[0]["provider"], "connection")), (expected.0, expected.1));
        } else {
            assert_eq!(found.status_and_code(), (404, "customer_not_found"), "{email}: {}", found.text);
            assert!(data.is_empty(), "{email}: {}", filtered.text);
        }
    }
    two.pin(&public, None);
    check(&two.gateway.get("/v1/customers/lookup?email=awa1@new.example.com").await, (&public, "new", &new));
}

/// R7: a record without a row can be a copy whose row is not written yet.
#[tokio::test]
async fn a_row_beats_a_record_without_one_and_two_rows_are_ambiguous() {
    let two = Two::start("notchpay", "modempay").await;
    let home = two.create("old", "Fatou Diop", "fatou@example.com").await;
    let copy = two.create("new", "Fatou Diop", "fatou@example.com").await;
    two.open("old").await;
    check(&two.gateway.get(&format!("/v1/customers/{home}")).await, (&home, "old", &home));
    two.flip().await;
    let lookup = "/v1/customers/lookup?email=fatou@example.com";
    check(&two.gateway.get(lookup).await, (&home, "old", &home));
    // An answer has shown the copy, so it is a customer of its own.
    check(&two.gateway.get(&format!("/v1/customers/{copy}")).await, (&copy, "new", &copy));
    let ambiguous = two.gateway.get(lookup).await;
    assert_eq!(ambiguous.status_and_code(), (409, "lookup_ambiguous"), "{}", ambiguous.text);
    let mut ids: Vec<&str> =
        ambiguous.body["ids"].as_array().expect("ids").iter().filter_map(|id| id.as_str()).collect();
    ids.sort_unstable();
    let mut expected = [&*home, &*copy];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

/// R7
#[tokio::test]
async fn a_distinct_create_is_answered_with_the_customer_who_lives_elsewhere() {
    let two = Two::start("notchpay", "modempay").await;
    let tail = two.create("old", "Fatou Diop", "fatou@example.com").await;
    two.open("new").await;
    check(&two.gateway.get(&format!("/v1/customers/{tail}")).await, (&tail, "old", &tail));
    let create = async |email: &str| {
        let body = json!({ "name": "Fatou Diop", "email": email });
        two.gateway.post("/v1/customers?distinct=true", body).await
    };
    for _ in 0..2 {
        check(&create("fatou@example.com").await, (&tail, "old", &tail));
    }
    let created = create("other@example.com").await;
    assert_eq!((created.status.as_u16(), text(&created.body["provider"], "connection")), (201, "new"));
    let body = json!({ "email": "moved@example.com" });
    assert_eq!(two.gateway.patch(&format!("/v1/customers/{tail}"), body).await.status, 200);
    let created = create("fatou@example.com").await;
    assert_eq!((created.status.as_u16(), text(&created.body["provider"], "connection")), (201, "new"));
    check(&create("moved@example.com").await, (&tail, "old", &tail));
}

/// R7: the gateway reads the customer at its home to find out that it matches, and again to answer it. Without the second
/// one, the create must not say that a customer is missing, because it names none.
#[tokio::test]
async fn a_distinct_create_whose_match_is_deleted_meanwhile_may_be_sent_again() {
    const ID: &str = "b78de3c9-7f76-4f43-9c5d-7a84a7c5b2f1";
    let record = format!(r#"{{"customer_id":"{ID}","name":"Fatou Diop","email":"fatou@example.com"}}"#);
    // It is read twice for its row, and once for the match.
    let home = StandIn::answering(move |received| {
        Some(if received.len() <= 3 {
            stand_in::json("200 OK", &record)
        } else {
            stand_in::json("404 Not Found", "{}")
        })
    })
    .await;
    let more = format!(
        "connections.gone = {{ provider = \"lomi\", base_url = \"{}\", credentials = {{ api_key = \"secret\" }} }}",
        home.url()
    );
    let two = Two::with("notchpay", "modempay", &more).await;
    two.gateway.ids().begin("acme", "gone", "sw_1", "new").await.expect("stored");
    two.gateway.learn_routing().await;
    check(&two.gateway.get(&format!("/v1/customers/{ID}")).await, (ID, "gone", ID));
    two.pin(ID, Some("gone"));
    two.flip().await;
    let body = json!({ "name": "Fatou Diop", "email": "fatou@example.com" });
    let refused = two.gateway.post("/v1/customers?distinct=true", body.clone()).await;
    assert_eq!(home.requests().len(), 4);
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    assert_eq!((&refused.body["outcome"], &refused.body["safe_to_retry"]), (&json!("none"), &json!(true)));
    let created = two.gateway.post("/v1/customers?distinct=true", body).await;
    assert_eq!((created.status.as_u16(), text(&created.body["provider"], "connection")), (201, "new"));
}

/// R7: it is not known yet whether there is such a customer.
#[tokio::test]
async fn while_a_create_elsewhere_has_not_ended_its_contact_is_neither_found_nor_created_again() {
    let black_hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = format!(
        "connections.gone = {{ provider = \"lomi\", base_url = \"http://{}/v1\", timeout = \"60s\", \
         credentials = {{ api_key = \"secret\" }} }}",
        black_hole.local_addr().expect("an address")
    );
    let two = Two::with("notchpay", "modempay", &gone).await;
    two.gateway.ids().begin("acme", "gone", "sw_1", "new").await.expect("stored");
    two.gateway.learn_routing().await;
    let body = json!({ "name": "Awa Ndiaye", "email": "awa@example.com" });
    let create = two.gateway.request(reqwest::Method::POST, "/v1/customers").json_text(&body);
    let in_flight = tokio::spawn(create.send());
    while two.gateway.get("/v1/operations").await.body["data"] == json!([]) {
        tokio::task::yield_now().await;
    }
    two.flip().await;
    let found = two.gateway.get("/v1/customers/lookup?email=awa@example.com").await;
    let listed = two.gateway.get("/v1/customers?email=awa@example.com").await;
    let created = two.gateway.post("/v1/customers?distinct=true", body).await;
    for refused in [found, listed, created] {
        assert_eq!(refused.status_and_code(), (409, "idempotency_in_progress"), "{}", refused.text);
    }
    let other = two.gateway.get("/v1/customers/lookup?email=other@example.com").await;
    assert_eq!(other.status_and_code(), (404, "customer_not_found"), "{}", other.text);
    in_flight.abort();
}

/// R8
#[tokio::test]
async fn a_cursor_goes_on_where_the_walk_began_until_the_switch_is_completed() {
    let two = Two::start("notchpay", "modempay").await;
    let mut moved = Vec::new();
    for number in 0..3 {
        moved.push(at_both(&two, number).await);
    }
    two.open("old").await;
    for (public, [old, new]) in &moved {
        two.add(public, "old", old, Some("old")).await;
        two.add(public, "new", new, None).await;
    }
    let first = two.gateway.get("/v1/customers?limit=2").await;
    let next = format!("/v1/customers?limit=2&cursor={}", text(&first.body, "next_cursor"));
    two.flip().await;
    for (public, _) in &moved {
        two.pin(public, None);
    }
    let second = two.gateway.get(&next).await;
    assert_eq!(second.status, 200, "{}", second.text);
    let homes: Vec<&str> = second.body["data"]
        .as_array()
        .expect("a page")
        .iter()
        .map(|customer| text(&customer["provider"], "connection"))
        .collect();
    assert!(!homes.is_empty(), "{}", second.text);
    two.complete().await;
    let refused = two.gateway.get(&next).await;
    assert_eq!(refused.status_and_code(), (400, "invalid_cursor"), "{}", refused.text);
    let detail = text(&refused.body, "detail");
    assert!(detail.contains("`old`") && detail.contains("completed"), "{detail}");
}

/// R8: a list of what belongs to a customer goes on at the connection whose entries it lists.
#[tokio::test]
async fn a_list_of_payments_goes_on_at_the_connection_where_it_began() {
    let two = Two::start("notchpay", "notchpay").await;
    let listed = two.gateway.get("/v1/customers?limit=100").await;
    let mut found = None;
    for customer in listed.body["data"].as_array().expect("a page") {
        let payments = two.gateway.get(&format!("/v1/customers/{}/payments?limit=1", text(customer, "id"))).await;
        if payments.body["has_more"] == true {
            found = Some(text(customer, "id").to_owned());
        }
    }
    let id = found.expect("a customer with several payments");
    two.open("old").await;
    two.add(&id, "old", &id, Some("old")).await;
    two.add(&id, "new", &id, None).await;
    let first = two.gateway.get(&format!("/v1/customers/{id}/payments?limit=1")).await;
    let next = format!("/v1/customers/{id}/payments?limit=1&cursor={}", text(&first.body, "next_cursor"));
    two.flip().await;
    two.pin(&id, None);
    assert_eq!(two.gateway.get(&next).await.status, 200);
    two.complete().await;
    assert_eq!(two.gateway.get(&next).await.status_and_code(), (400, "invalid_cursor"));
}

/// How many customers of `old` are copied while a client walks.
const LATE: usize = 4;

/// What happens between two pages.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    Flip,
    Pin(usize, Option<&'static str>),
    /// A customer of `old` is copied to `new`.
    Copy(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let pin = prop_oneof![Just(None), Just(Some("old")), Just(Some("new"))];
    prop_oneof![
        Just(Event::Nothing),
        Just(Event::Flip),
        (0_usize..8, pin).prop_map(|(who, pin)| Event::Pin(who, pin)),
        (0_usize..LATE).prop_map(Event::Copy),
    ]
}

/// R7: each customer is shown once while customers are copied and move during a walk, as its home has it.
#[tokio::test]
async fn a_walk_shows_every_customer_once_whatever_moves_meanwhile() {
    let two = Two::start("notchpay", "modempay").await;
    let mut expected: BTreeMap<String, &str> = BTreeMap::new();
    let mut both = Vec::new();
    for number in 0..8 {
        both.push(at_both(&two, number).await);
    }
    for number in 0..3 {
        expected.insert(two.create("old", &format!("Old {number}"), &format!("old{number}@example.com")).await, "old");
        expected.insert(two.create("new", &format!("New {number}"), &format!("new{number}@example.com")).await, "new");
    }
    let mut late = Vec::new();
    for number in 8..8 + LATE {
        late.push(at_both(&two, number).await);
    }
    two.open("old").await;
    for (public, [old, new]) in &both {
        two.add(public, "old", old, None).await;
        two.add(public, "new", new, None).await;
        expected.insert(public.clone(), "both");
    }
    for (public, [old, new]) in &late {
        two.add(public, "old", old, Some("old")).await;
        // Until the copy, the record at `new` is hidden as that of a customer who was deleted.
        two.add(&ghost(public), "new", new, None).await;
        two.bury(&ghost(public));
        expected.insert(public.clone(), "old");
    }
    // Everybody else gets a row, also the customers that the twins begin with.
    for _ in 0..2 {
        for Shown { id, home, .. } in two.walk("limit=50", async |_| ()).await {
            expected.entry(id).or_insert(if home == "old" { "old" } else { "new" });
        }
        two.flip().await;
    }
    let rng = TestRng::deterministic_rng(Config::default().rng_algorithm);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let plans = (1_usize..6, proptest::collection::vec(event(), 12), proptest::collection::vec(event(), 4));
    let mut pins: Vec<Option<&str>> = vec![None; both.len()];
    for _ in 0..24 {
        let (limit, during, before) = plans.new_tree(&mut runner).expect("a plan").current();
        for (public, [_, new]) in &late {
            two.copied(&ghost(public), new, None);
        }
        for event in &before {
            happen(&two, &both, &late, &mut pins, *event).await;
        }
        // Where everybody lives while each page is read.
        let mut states = vec![(pins.clone(), two.routing().await.connection)];
        let shown = two
            .walk(&format!("limit={limit}"), async |page| {
                happen(&two, &both, &late, &mut pins, during[page % during.len()]).await;
                states.push((pins.clone(), two.routing().await.connection));
            })
            .await;
        let mut ids: Vec<&String> = shown.iter().map(|shown| &shown.id).collect();
        ids.sort();
        let all: Vec<&String> = expected.keys().collect();
        assert_eq!(ids, all, "limit {limit}, before {before:?}, during {during:?}");
        for Shown { id, home, email, page } in &shown {
            let Some(number) = id.strip_prefix("cus_").filter(|_| expected[id] == "both") else {
                assert_eq!(home, expected[id], "{id}");
                continue;
            };
            let (pins, active) = &states[*page];
            let lives_at = pins[number.parse::<usize>().expect("a number")].unwrap_or(active);
            assert_eq!(home, lives_at, "{id} on page {page}, limit {limit}, before {before:?}, during {during:?}");
            assert_eq!(*email, format!("awa{number}@{home}.example.com"), "the values are those of the home");
        }
    }
}

/// The customer who has the record of a copy before it is made.
fn ghost(public: &str) -> String {
    format!("ghost_of_{public}")
}

async fn happen(
    two: &Two,
    both: &[(String, [String; 2])],
    late: &[(String, [String; 2])],
    pins: &mut [Option<&'static str>],
    event: Event,
) {
    match event {
        Event::Nothing => {}
        Event::Flip => two.flip().await,
        Event::Pin(who, pin) => {
            two.pin(&both[who].0, pin);
            pins[who] = pin;
        }
        Event::Copy(who) => two.copied(&late[who].0, &late[who].1[1], Some(jiff::Timestamp::now().as_millisecond())),
    }
}

/// R7: a copy that is older than the walk counts, also after a cutover. The first list shows such a customer without a read at
/// its home.
#[tokio::test]
async fn a_customer_who_was_copied_long_ago_is_shown_by_the_first_list() {
    let two = Two::start("notchpay", "modempay").await;
    let (public, [old, new]) = at_both(&two, 1).await;
    two.open("new").await;
    two.add(&public, "old", &old, None).await;
    two.add(&public, "new", &new, None).await;
    for (seconds, page) in [(3600, 0), (0, 1)] {
        let at = jiff::Timestamp::now().as_millisecond() - seconds * 1000;
        two.copied(&public, &new, Some(at));
        let shown = two.walk("limit=100", async |_| ()).await;
        let places: Vec<_> = shown.iter().filter(|one| one.id == public).map(|one| (&*one.home, one.page)).collect();
        assert_eq!(places, [("new", page)], "copied {seconds} s before the walk");
    }
}
