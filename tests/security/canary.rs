//! Canaries: keys, secrets and personal data that no other text contains. Whatever shows one of them has leaked it.

use serde_json::{Value, json};

/// Every canary that is text has this in it.
pub(crate) const MARK: &str = "c4n4ry";
/// The digits that the phone numbers have in every spelling.
const DIGITS: [&str; 2] = ["771230987", "77 123 09 87"];

pub(crate) const OPERATOR_KEY: &str = "op_c4n4ry_operator_key";
/// The credential of every connection to a stand-in.
pub(crate) const VENDOR_SECRET: &str = "vendor_c4n4ry_secret";
/// A key of no merchant.
pub(crate) const WRONG_KEY: &str = "sk_c4n4ry_of_no_merchant";

/// The address of the customer.
pub(crate) const EMAIL: &str = "c4n4ry.awa@example.com";

/// The key of a merchant of this name.
pub(crate) fn key_of(merchant: &str) -> String {
    format!("sk_c4n4ry_{merchant}_key")
}

/// A customer all of whose values are canaries. Every provider can hold them.
pub(crate) fn customer() -> Value {
    json!({ "first_name": "Awa", "last_name": "C4n4ry", "email": EMAIL, "phone": "+221 77 123 09 87" })
}

/// A customer with every field that a client can write.
pub(crate) fn whole_customer() -> Value {
    json!({
        "name": "Awa C4n4ry", "email": EMAIL, "phone": "771230987", "whatsapp": "+221771230987",
        "address": { "line1": "7 c4n4ry street", "city": "C4n4ryville", "country": "SN" },
        "type": "individual", "did": "z1c4n4ry", "balance": "1.50", "metadata": { "c4n4ry_key": "c4n4ry value" },
    })
}

/// The first canary in a text, with what is around it.
pub(crate) fn found_in(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let place = [MARK].iter().chain(&DIGITS).find_map(|canary| lower.find(canary))?;
    let around = lower.as_bytes().get(place.saturating_sub(300)..(place + 100).min(lower.len()))?;
    Some(String::from_utf8_lossy(around).into_owned())
}

/// Whether a text shows a key or a credential.
pub(crate) fn shows_a_secret(text: &str) -> bool {
    ["sk_c4n4ry", "op_c4n4ry", "vendor_c4n4ry"].iter().any(|secret| text.contains(secret))
}
