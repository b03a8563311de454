//! R28 and R3 over several switches: every field that was written through the gateway is equal, and every id that was ever
//! given out answers on every route.

use serde_json::{Value, json};

use super::{
    bed::CREATING,
    journey::{Journey, Person},
};

/// The provider that cannot create.
const LINKING: &str = "paymentkit";
/// The providers that cannot delete.
const CANNOT_DELETE: [&str; 2] = ["bitnob", LINKING];

/// What a client changes on a leg. Providers hold different parts of it.
fn changes(leg: usize) -> Value {
    let letter = char::from(b'a' + u8::try_from(leg).expect("few legs"));
    json!({
        "first_name": format!("Aïssatou Awa{letter}"), "last_name": format!("Ndiaye Diop{letter}"),
        "whatsapp": format!("+22178999000{leg}"), "phone": format!("+22177999000{leg}"),
        "email": format!("awa.{leg}@example.com"),
        "address": { "city": format!("Thiès {leg}"), "line2": null, "state": format!("Région {leg}") },
        "metadata": { "plan": null, format!("leg{leg}"): "yes" },
    })
}

/// A merchant who goes from each provider to the next one. On each leg a customer is changed, one is created, one is deleted,
/// and one stays where it is.
async fn journey(providers: &[&'static str], rolls_back: bool) {
    let mut journey = Journey::start(providers).await;
    let (traveller, blocked) = (journey.create().await, journey.create().await);
    let (mut stays, mut goes) = (journey.create().await, journey.create().await);
    journey.block(blocked, "block").await;
    let legs = providers.len();
    for leg in 0..legs {
        let (from, to) = (leg, (leg + 1) % legs);
        let copied = journey.copied(to, Some(stays)).await;
        journey.check_values("copied").await;
        journey.patch(traveller, changes(2 * leg)).await;
        let mut switched = journey.cut_over(&copied, to).await;
        if rolls_back {
            journey.patch(traveller, json!({ "address": { "postal_code": format!("1250{leg}") } })).await;
            let back = journey.roll_back(&switched, from).await;
            journey.check_values("rolled back").await;
            switched = journey.cut_over(&back, to).await;
        }
        journey.check_values("switched").await;
        journey.check_list("switched").await;
        journey.check_routes(stays, "switched, the one who stays").await;
        let new = journey.create().await;
        journey.patch(traveller, changes(2 * leg + 1)).await;
        let id = journey.people[goes].ids.iter().next().expect("an id").clone();
        if journey.delete(goes, &id).await {
            journey.check_deleted(goes, "switched").await;
            goes = new;
        }
        journey.complete(&switched).await;
        journey.check_values("completed").await;
        journey.check_list("completed").await;
        journey.check_routes(traveller, "completed").await;
        journey.check_parts(traveller, "completed").await;
        journey.check_routes(blocked, "completed, blocked").await;
        stays = journey.create().await;
    }
    // At last everybody is deleted, each by another of its ids.
    for number in 0..journey.people.len() {
        if journey.people[number].is_deleted {
            journey.check_deleted(number, "at last").await;
            continue;
        }
        let ids: Vec<String> = journey.people[number].ids.iter().cloned().collect();
        if journey.delete(number, &ids[number % ids.len()]).await {
            journey.check_deleted(number, "deleted").await;
        }
    }
    journey.check_list("at last").await;
}

/// Runs journeys at the same time, a few at once.
async fn all(journeys: Vec<Vec<&'static str>>, rolls_back: bool) {
    let mut failed = Vec::new();
    for some in journeys.chunks(4) {
        let running = some.iter().map(|providers| {
            let providers = providers.clone();
            (providers.join(" to "), tokio::spawn(async move { journey(&providers, rolls_back).await }))
        });
        for (way, journey) in running.collect::<Vec<_>>() {
            if journey.await.is_err() {
                failed.push(way);
            }
        }
    }
    assert!(failed.is_empty(), "these failed: {failed:#?}");
}

fn others<'a>(of: &'a [&'static str]) -> impl Iterator<Item = &'static str> + 'a {
    CREATING.into_iter().filter(move |provider| !of.contains(provider))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_providers_there_and_back_by_commands() {
    let pairs = CREATING.into_iter().flat_map(|from| others(&[from]).map(move |to| vec![from, to]).collect::<Vec<_>>());
    all(pairs.collect(), true).await;
}

/// Every circle of three begins with its first provider in the alphabet, so that each leg is in two of them. With
/// `RELIABILITY=full`, it begins with each of the three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_three_providers_in_a_circle_by_commands() {
    let is_full = std::env::var("RELIABILITY").is_ok_and(|size| size == "full");
    let mut circles = Vec::new();
    for first in CREATING {
        for second in others(&[first]) {
            circles.extend(others(&[first, second]).map(|third| vec![first, second, third]));
        }
    }
    assert_eq!(circles.len(), 24);
    circles.retain(|circle| is_full || circle.iter().all(|provider| *provider >= circle[0]));
    all(circles, false).await;
}

/// A circle with a provider that cannot create: customers go there whose records stand there already.
async fn journey_by_links(providers: &[&'static str]) {
    let mut journey = Journey::start(providers).await;
    let (amadou, john) = (journey.adopt("amadou.ba@example.com").await, journey.adopt("john@example.com").await);
    let legs = providers.len();
    for (leg, from) in providers.iter().enumerate() {
        let to = (leg + 1) % legs;
        if *from != LINKING {
            journey.create().await;
        }
        // What no record of the twins has yet.
        let more = json!({ "whatsapp": format!("+22178999000{leg}"), "metadata": { format!("leg{leg}"): "yes" },
                           "address": { "line2": format!("Étage {leg}") } });
        journey.patch(amadou, more).await;
        let copied = journey.copied(to, None).await;
        journey.check_values("copied").await;
        let switched = journey.cut_over(&copied, to).await;
        journey.check_values("switched").await;
        journey.check_list("switched").await;
        journey.patch(john, json!({ "type": "business", "address": { "state": format!("Littoral {leg}") } })).await;
        let back = journey.roll_back(&switched, leg).await;
        journey.check_values("rolled back").await;
        let switched = journey.cut_over(&back, to).await;
        journey.complete(&switched).await;
        journey.check_values("completed").await;
        journey.check_list("completed").await;
        for number in 0..journey.people.len() {
            journey.check_routes(number, "completed").await;
        }
    }
    let dids = |person: &Person| person.ids.iter().any(|id| id.starts_with('z'));
    assert!([amadou, john].iter().all(|number| dids(&journey.people[*number])), "their DIDs were given out");
}

/// The clients of every vendor go on with the ids that they have, whatever answers them.
async fn journey_of_clients(providers: &[&'static str]) {
    let mut journey = Journey::start(providers).await;
    let (traveller, blocked) = (journey.create().await, journey.create().await);
    let mut stays = Some(journey.create().await);
    journey.block(blocked, "block").await;
    let amadou = journey.adopt("amadou.ba@example.com").await;
    let legs = providers.len();
    for leg in 0..legs {
        let to = (leg + 1) % legs;
        let copied = journey.copied(to, stays).await;
        let switched = journey.cut_over(&copied, to).await;
        journey.check_pages("switched").await;
        for number in [traveller].into_iter().chain(stays) {
            journey.check_dialects(number, "switched").await;
        }
        journey.check_values("switched").await;
        let back = journey.roll_back(&switched, leg).await;
        journey.check_dialects(traveller, "rolled back").await;
        let switched = journey.cut_over(&back, to).await;
        journey.complete(&switched).await;
        journey.check_pages("completed").await;
        for number in [blocked, amadou] {
            journey.check_dialects(number, "completed").await;
        }
        journey.check_values("completed").await;
        stays = None;
        if providers[to] != LINKING {
            stays = Some(journey.create().await);
        }
    }
    if !CANNOT_DELETE.contains(&providers[0]) {
        for (number, vendor) in [(traveller, "modempay"), (blocked, "lomi"), (amadou, "notchpay")] {
            let id = journey.people[number].ids.iter().next_back().expect("an id").clone();
            journey.delete_as(vendor, number, &id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_every_vendor_go_on_with_their_ids_over_every_switch() {
    let mut failed = Vec::new();
    let circles = [["modempay", "lomi", "bitnob"], ["notchpay", "modempay", LINKING], ["lomi", "notchpay", LINKING]];
    let running = circles.map(|circle| (circle, tokio::spawn(async move { journey_of_clients(&circle).await })));
    for (circle, journey) in running {
        if journey.await.is_err() {
            failed.push(circle.join(" to "));
        }
    }
    assert!(failed.is_empty(), "these failed: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circles_with_a_provider_that_can_only_be_linked_to() {
    let mut failed = Vec::new();
    for (place, first) in CREATING.into_iter().enumerate() {
        let next = CREATING[(place + 1) % CREATING.len()];
        let circles = [[first, LINKING, next], [LINKING, first, next]];
        let running = circles.map(|circle| (circle, tokio::spawn(async move { journey_by_links(&circle).await })));
        for (circle, journey) in running {
            if journey.await.is_err() {
                failed.push(circle.join(" to "));
            }
        }
    }
    assert!(failed.is_empty(), "these failed: {failed:#?}");
}
