//! How many statements reads of a merchant cost the store. A merchant without a routing row costs none.

use crate::homes_bed::Two;

impl Two {
    /// The statements that a request costs. Workers of the gateway ask the store meanwhile, so the least of several requests
    /// counts.
    async fn costs(&self, path: &str) -> u64 {
        let mut least = u64::MAX;
        for _ in 0..5 {
            let before = self.gateway.statements();
            let answer = self.gateway.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            least = least.min(self.gateway.statements() - before);
        }
        least
    }
}

#[tokio::test]
async fn a_merchant_without_rows_makes_no_statement_on_reads() {
    let two = Two::start("notchpay", "modempay").await;
    let id = two.create("old", "Awa Ndiaye", "awa@example.com").await;
    for path in [
        format!("/v1/customers/{id}"),
        "/v1/customers?limit=100".to_owned(),
        "/v1/customers?email=awa@example.com".to_owned(),
        "/v1/customers/lookup?email=awa@example.com".to_owned(),
        format!("/as/modempay/v1/customers/{id}"),
        "/as/modempay/v1/customers".to_owned(),
    ] {
        assert_eq!(two.costs(&path).await, 0, "{path}");
    }
}

/// R1, R7: the numbers do not depend on how many customers a page or the store has.
#[tokio::test]
async fn reads_of_a_merchant_with_rows_make_a_known_number_of_statements() {
    let two = Two::start("notchpay", "modempay").await;
    let id = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.route("new").await;
    // Every record gets its row.
    assert!(two.walk("limit=100", async |_| ()).await.len() > 2);
    let (retrieve, list) = (format!("/v1/customers/{id}"), "/v1/customers?limit=100".to_owned());
    let look_up = "/v1/customers/lookup?email=awa@example.com".to_owned();
    // The customer with its routing.
    assert_eq!(two.costs(&retrieve).await, 1);
    // The routing, and the rows of the page.
    assert_eq!(two.costs(&list).await, 2);
    // The routing, the rows with the contact, and the rows of what the provider has found.
    assert_eq!(two.costs(&look_up).await, 3);
    two.open("new").await;
    assert_eq!(two.costs(&retrieve).await, 1, "while a switch is open");
    assert_eq!(two.costs(&list).await, 3, "while a switch is open, the last page also asks whether there is a tail");
    assert_eq!(two.costs("/v1/customers?limit=1").await, 2, "while a switch is open");
    assert_eq!(two.costs(&look_up).await, 3, "while a switch is open");
    two.flip().await;
    two.flip().await;
    two.sql(&format!("UPDATE customers SET copied_at = {}", i64::MAX));
    assert_eq!(two.costs(&list).await, 3, "customers who were copied lately are read by id without another statement");
}
