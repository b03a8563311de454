//! Lists of customers who have just moved (R8).

use passerelle::twin::many;
use passerelle_providers::model::Operation;
use serde_json::{Value, json};

use super::bed::{Bed, Vendor, configuration};

/// A switch to a provider whose lists show changes after a minute. Its only customer is at both sides, and was copied there
/// long ago.
async fn lagging() -> (Bed, String) {
    let new = Vendor::serving("modempay", "search_lag = \"1m\"\n", |twin| twin.with_customers(many(1)));
    let bed = Bed::between(Vendor::start("notchpay", ""), new, tempfile::tempdir().expect("a folder")).await;
    let (before, connection) = (configuration(&bed.folder, &bed.old, &bed.new), bed.new.connection());
    let lagging = connection.replace("visibility_lag = \"1ms\"", "visibility_lag = \"1m\"");
    bed.gateway.reload(&before.replace(&connection, &lagging));
    let person = json!({ "name": "Awa Ndiaye 1", "email": "customer1@example.com", "phone": "+221770000001" });
    let public_id = bed.create(&person).await;
    bed.begin().await;
    (bed, public_id)
}

impl Bed {
    fn sql(&self, statement: &str) {
        let file = rusqlite::Connection::open(self.folder.path().join("store.db")).expect("the file");
        file.busy_timeout(std::time::Duration::from_secs(10)).expect("set");
        file.execute_batch(statement).expect("executed");
    }

    /// The customer as the list of the merchant shows it: its name, and its home.
    async fn listed(&self, public_id: &str) -> (String, String) {
        let page = self.gateway.get("/v1/customers?limit=100").await;
        assert_eq!(page.status, 200, "{}", page.text);
        let customers = page.body["data"].as_array().expect("a page");
        let found: Vec<_> = customers.iter().filter(|customer| customer["id"] == public_id).collect();
        assert_eq!(found.len(), 1, "{}", page.text);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&found[0]["name"]), text(&found[0]["provider"]["connection"]))
    }
}

/// The copier reads the copy by its id, and moves the customer at once. The list of the new home still has the state before.
#[tokio::test]
async fn a_list_shows_no_older_state_of_a_customer_who_has_just_moved() {
    let (bed, public_id) = lagging().await;
    bed.copy_fully(&public_id).await;
    bed.sql("UPDATE customer_ids SET copied_at = 1 WHERE copied_at IS NOT NULL");
    bed.patch(&public_id, json!({ "name": "Awa Diop" })).await;
    bed.copy_fully(&public_id).await;
    // The lag since that copy is not over, so the customer stays at its old home until it is copied again.
    bed.flip("new").await;
    bed.patch(&public_id, json!({ "name": "Fatou Diop" })).await;
    assert_eq!(bed.listed(&public_id).await, ("Fatou Diop".to_owned(), "old".to_owned()));
    bed.copy_fully(&public_id).await;
    assert_eq!(bed.listed(&public_id).await, ("Fatou Diop".to_owned(), "new".to_owned()));
    // When the lag is over, the list is believed.
    bed.sql("UPDATE customers SET copied_at = 1");
    let before = bed.new.received(Operation::Retrieve);
    bed.listed(&public_id).await;
    assert_eq!(bed.new.received(Operation::Retrieve), before);
}
