//! Masks personal data in documents of the API. What may be shown is listed, and everything else is masked, so that a member
//! that a provider adds later is masked too.

use serde_json::Value;

use crate::report::masked;

/// The members of a customer, of a list or of a payment method whose values say nothing about the person.
const OPEN: &[&str] = &[
    "object",
    "id",
    "type",
    "channel",
    "delinquent",
    "blocked",
    "livemode",
    "created_at",
    "updated_at",
    "field",
    "outcome",
    "rule",
    "connection",
];

/// Masks the values of a document. Ids, times and states stay.
pub(super) fn mask(document: &mut Value) {
    mask_members(document, false);
}

/// `is_foreign`: the members have names that the merchant or the provider chose, so that none of them is known to be open.
fn mask_members(value: &mut Value, is_foreign: bool) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let is_foreign = is_foreign || matches!(name.as_str(), "metadata" | "extra");
                let is_open = !is_foreign && OPEN.contains(&name.as_str());
                // The provider of a customer has its name beside the name of the connection.
                let is_provider = name == "provider" && !is_foreign;
                match value {
                    Value::Object(members) if is_provider => {
                        for (name, value) in members {
                            if !matches!(name.as_str(), "name" | "connection" | "id") {
                                mask_members(value, true);
                            }
                        }
                    }
                    Value::Object(_) | Value::Array(_) => mask_members(value, is_foreign),
                    _ if is_open => {}
                    value => mask_members(value, is_foreign),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| mask_members(value, is_foreign)),
        Value::String(text) => *text = masked(text).into_owned(),
        Value::Number(_) | Value::Bool(_) => *value = Value::String("•••".to_owned()),
        Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_something_about_the_person_is_masked_and_the_rest_stays() {
        let mut customer = json!({
            "object": "customer", "id": "cus_1", "name": "Awa Diop", "email": "awa@example.com", "phone": null,
            "address": { "city": "Dakar", "country": "SN" }, "type": "individual", "blocked": false, "balance": "12",
            "metadata": { "id": "passport 7", "tier": { "type": "gold" } }, "created_at": "2026-01-01T00:00:00.000Z",
            "provider": { "name": "lomi", "connection": "main", "id": "cus_1", "extra": { "id": 7, "name": "Awa" } },
            "fidelity": [{ "field": "phone", "outcome": "transformed", "rule": "E.164", "from": "77 123 45 67" }],
        });
        mask(&mut customer);
        let expected = json!({
            "object": "customer", "id": "cus_1", "name": "A•••", "email": "a•••", "phone": null,
            "address": { "city": "D•••", "country": "S•••" }, "type": "individual", "blocked": false, "balance": "1•••",
            "metadata": { "id": "p•••", "tier": { "type": "g•••" } }, "created_at": "2026-01-01T00:00:00.000Z",
            "provider": { "name": "lomi", "connection": "main", "id": "cus_1", "extra": { "id": "•••", "name": "A•••" } },
            "fidelity": [{ "field": "phone", "outcome": "transformed", "rule": "E.164", "from": "7•••" }],
        });
        assert_eq!(customer, expected);
    }
}
