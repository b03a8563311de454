//! Clients of a merchant during a switch: each creates, changes, deletes and reads customers of its own, and compares what
//! it reads with what it wrote.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::bed::{Bed, person, phone};
use crate::{
    bed::{Random, sized},
    client::{Client, Outcome, email},
};

/// A customer as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) phone: String,
    pub(crate) is_deleted: bool,
}

impl Known {
    pub(crate) fn of(id: String, number: usize) -> Self {
        Self { id, email: email(number), phone: phone(number), is_deleted: false }
    }

    /// Reads the customer: the client's own last write, or that it is deleted. While a gateway is killed, no answer may
    /// come.
    pub(crate) async fn read(&self, client: &Client) -> bool {
        let Some(answer) = client.get(&format!("/v1/customers/{}", self.id)).await else { return false };
        match answer.status {
            200 => {
                let read = answer.json();
                assert!(!self.is_deleted, "{self:?} was deleted: {read}");
                assert_eq!(
                    (read["id"].as_str(), read["phone"].as_str()),
                    (Some(&*self.id), Some(&*self.phone)),
                    "{read}"
                );
                true
            }
            404 => {
                assert!(self.is_deleted, "{self:?}: {}", answer.body);
                true
            }
            status => {
                assert!(matches!(status, 429 | 502..=504), "{self:?}: {status} {}", answer.body);
                false
            }
        }
    }
}

/// Clients that run until they are stopped.
pub(crate) struct Clients {
    client: Client,
    tasks: JoinSet<Vec<Known>>,
}

impl Clients {
    /// Starts clients, who share these customers.
    pub(crate) fn start(client: &Client, customers: &[Known], random: &Random) -> Self {
        const CLIENTS: usize = 4;
        let (next, mut tasks) = (Arc::new(AtomicUsize::new(customers.len())), JoinSet::new());
        for number in 0..CLIENTS {
            let own = customers.iter().skip(number).step_by(CLIENTS).cloned().collect();
            let mut random = random.clone();
            for _ in 0..number {
                random.below(2);
            }
            tasks.spawn(live(client.clone(), own, random, Arc::clone(&next)));
        }
        Self { client: client.clone(), tasks }
    }

    /// Stops them. Returns the customers.
    pub(crate) async fn stop(self) -> Vec<Known> {
        self.client.stop_beginning();
        self.tasks.join_all().await.concat()
    }
}

async fn live(client: Client, mut own: Vec<Known>, mut random: Random, next: Arc<AtomicUsize>) -> Vec<Known> {
    while !client.is_stopping() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let key = format!("live-{number}");
        let index = usize::try_from(random.below(own.len() as u64)).expect("an index");
        let path = format!("/v1/customers/{}", own[index].id);
        match random.below(100) {
            0..10 => match client.create_until_known(&key, &person(number)).await {
                Outcome::Done(answer) => {
                    own.push(Known::of(answer.json()["id"].as_str().expect("an id").to_owned(), number));
                }
                outcome => panic!("{key}: {outcome:?}"),
            },
            10..40 if !own[index].is_deleted => {
                let changed = json!({ "phone": phone(number) });
                match client.send_until_known(Method::PATCH, &path, &key, Some(&changed)).await {
                    Outcome::Done(_) => own[index].phone = phone(number),
                    outcome => panic!("{key} of {:?}: {outcome:?}", own[index]),
                }
            }
            40..42 if !own[index].is_deleted => {
                match client.send_until_known(Method::DELETE, &path, &key, None).await {
                    Outcome::Done(_) => own[index].is_deleted = true,
                    // Its home cannot delete customers.
                    Outcome::Refused(answer) if answer.status == 405 => {}
                    outcome => panic!("{key} of {:?}: {outcome:?}", own[index]),
                }
            }
            _ => {
                own[index].read(&client).await;
            }
        }
        // Copies at a provider that fails so often are slow. With many customers, the clients must not change them faster.
        let (shortest, longest) = sized((5, 40), (20, 200));
        tokio::time::sleep(random.milliseconds(shortest, longest)).await;
    }
    own
}

/// Creates customers, several at once.
pub(crate) async fn seed(bed: &Bed, count: usize) -> Vec<Known> {
    const AT_ONCE: usize = 16;
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|first| {
            let client = bed.client.clone();
            tokio::spawn(async move {
                let mut known = Vec::new();
                for number in (first..count).step_by(AT_ONCE) {
                    match client.create_until_known(&format!("seed-{number}"), &person(number)).await {
                        Outcome::Done(answer) => {
                            known.push(Known::of(answer.json()["id"].as_str().expect("an id").to_owned(), number));
                        }
                        outcome => panic!("{number}: {outcome:?}"),
                    }
                }
                known
            })
        })
        .collect();
    let mut known = Vec::new();
    for task in tasks {
        known.extend(task.await.expect("no panic"));
    }
    known
}
