//! Pages of customers as lomi answers them.

use bytes::Bytes;

/// A page of customers as lomi documents them, with the address fields that the API accepts.
pub(crate) fn of(customers: usize) -> Bytes {
    let listed: Vec<String> = (0..customers).map(customer).collect();
    let page = listed.join(",");
    Bytes::from(format!(r#"{{"data":[{page}],"meta":{{"current_page":1,"per_page":{customers}}}}}"#))
}

fn customer(number: usize) -> String {
    format!(
        r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","merchant_id":"904d003c-3736-41d4-90a5-9de74d404fd7","organization_id":"0979ec77-9fb1-4c9a-8c55-d7fb6c182c9c","name":"Amadou Ba {number}","email":"amadou.ba.{number}@example.com","phone_number":"+221771{number:06}","whatsapp_number":null,"country":"Senegal","city":"Dakar","address":"{number} Avenue Cheikh Anta Diop","postal_code":null,"is_business":false,"metadata":{{"crm":"{number}"}},"created_at":"2025-04-04T14:21:49.955Z","updated_at":"2025-04-04T14:21:49.955Z"}}"#
    )
}
