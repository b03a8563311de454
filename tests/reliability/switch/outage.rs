//! Writes in flight while the store fails, for a merchant who switches. The answers to those writes need the store: it has
//! the ids of the customers, and the connections that hold them.

use libtest_mimic::Trial;
use passerelle::twin::{faults::OperationName, log};
use passerelle_providers::model::Operation;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    bed::{Bed, Sides, person},
    operator::{Goal, Kills},
};
use crate::{
    bed::{Gateway, PATIENCE, Setup, until},
    client::Answer,
    cluster::{self, Cluster},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![cluster::or_ignored(trial("writes_in_flight_when_postgres_stops_get_their_answers_later", stopped_server))]
}

const SIDES: Sides<'_> = Sides {
    providers: ["lomi", "lomi"],
    faults: ["delay = \"400ms\"\nonly = [\"update\", \"delete\"]", ""],
    connection: "visibility_lag = \"100ms\"",
    store: "",
};

/// A write in flight to a customer.
struct InFlight {
    path: String,
    method: Method,
    body: Option<Value>,
    answer: JoinHandle<Answer>,
}

impl InFlight {
    /// Creates a customer, and sends a write to it. It returns once the twin has executed the write, and before the twin
    /// answers it.
    async fn send(bed: &Bed, operation: Operation, method: Method, body: Option<Value>) -> Self {
        bed.operator.reach(Goal::Copied, &mut Kills::none(), PATIENCE).await;
        let path = format!("/v1/customers/{}", bed.create("first", &person(1)).await);
        let answer = tokio::spawn({
            let (client, path, method, body) = (bed.client.clone(), path.clone(), method.clone(), body.clone());
            async move { client.send(method, &path, Some("key"), body.as_ref()).await.expect("an answer") }
        });
        until("the twin has executed the write", async || (effects(bed, operation) > 0).then_some(())).await;
        Self { path, method, body, answer }
    }

    /// The answer says that the outcome is unknown. When the store works again, the same request gets the true answer.
    async fn answered_later(self, bed: &Bed, repair: impl AsyncFnOnce()) -> Answer {
        let first = self.answer.await.expect("no panic");
        assert_eq!((first.status, first.code().as_str()), (504, "outcome_unknown"), "{}", first.body);
        repair().await;
        let answer = until("the write has its answer", async || {
            let answer = bed.client.send(self.method.clone(), &self.path, Some("key"), self.body.as_ref()).await?;
            (answer.status < 300).then_some(answer)
        })
        .await;
        assert_eq!(answer.operation(), first.operation());
        answer
    }
}

fn effects(bed: &Bed, operation: Operation) -> usize {
    log::effects(&bed.main.log()).filter(|effect| effect.operation == OperationName(operation)).count()
}

/// The server ends as in a crash, and starts again.
async fn stopped_server() {
    let changed = json!({ "phone": "+221770000009" });
    for (operation, method, body) in
        [(Operation::Update, Method::PATCH, Some(changed)), (Operation::Delete, Method::DELETE, None)]
    {
        let mut cluster = Cluster::start(&cluster::programs().expect("checked before"));
        let database = Some(cluster.database());
        // A second replica would not know at once that the merchant switches.
        let bed =
            SIDES.start_gateways(|main, setup| vec![Gateway::start_for(main, &Setup { database, ..setup.clone() })]);
        let sent = InFlight::send(&bed, operation, method, body).await;
        cluster.down();
        let answer = sent.answered_later(&bed, async || cluster.up()).await.json();
        match operation {
            Operation::Delete => assert_eq!(
                answer["receipts"],
                json!([{ "connection": "main", "provider": "lomi", "outcome": "deleted", "reason": null }]),
                "{answer}"
            ),
            _ => assert_eq!(answer["phone"], "+221770000009", "{answer}"),
        }
        assert_eq!(effects(&bed, operation), 1);
    }
}
