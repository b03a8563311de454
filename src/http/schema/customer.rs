//! Customers, as they are sent and answered.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Exchange;

/// A customer, the same whoever holds it. What the provider does not tell is `null`.
#[derive(ToSchema)]
pub(in crate::http) struct Customer {
    /// Always `customer`.
    #[schema(example = "customer")]
    object: String,
    /// The id: for ever the one that was first handed out.
    #[schema(example = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985")]
    id: String,
    /// The full name.
    #[schema(required, example = "Amadou Ba")]
    name: Option<String>,
    /// The given names.
    #[schema(required, example = "Amadou")]
    first_name: Option<String>,
    /// The family name; never invented.
    #[schema(required, example = "Ba")]
    last_name: Option<String>,
    /// The e-mail address.
    #[schema(required, example = "amadou.ba@example.com")]
    email: Option<String>,
    /// E.164 where the text, its dial code or the merchant's region allow it; else the provider's text.
    #[schema(required, example = "+221771234567")]
    phone: Option<String>,
    /// As `phone`.
    #[schema(required)]
    whatsapp: Option<String>,
    /// The postal address.
    address: Address,
    /// `individual` or `business`.
    #[schema(required, example = "individual")]
    r#type: Option<String>,
    /// A decentralised identifier.
    #[schema(required)]
    did: Option<String>,
    /// A decimal string.
    #[schema(required, example = "0")]
    balance: Option<String>,
    /// Whether a payment is overdue.
    #[schema(required)]
    delinquent: Option<bool>,
    /// Whether the provider refuses this customer's payments.
    #[schema(required)]
    blocked: Option<bool>,
    /// Whether the record is a live one, as opposed to a test one.
    #[schema(required)]
    livemode: Option<bool>,
    /// The merchant's own keys.
    metadata: BTreeMap<String, Value>,
    /// RFC 3339 in UTC, with milliseconds or more.
    #[schema(required, example = "2025-04-04T14:21:49.955Z")]
    created_at: Option<String>,
    /// RFC 3339 in UTC, with milliseconds or more.
    #[schema(required, example = "2025-04-04T14:21:49.955Z")]
    updated_at: Option<String>,
    /// Who holds the record.
    provider: Holder,
    /// What is not plainly as the provider holds it. In a list, what holds for every entry stands in the
    /// list's own report.
    fidelity: Vec<FidelityEntry>,
    /// With `include=raw`: what the provider answered.
    raw: Option<Vec<Exchange>>,
}

/// A postal address.
#[derive(ToSchema)]
pub(in crate::http) struct Address {
    /// Street and number.
    #[schema(required)]
    line1: Option<String>,
    /// Apartment, building.
    #[schema(required)]
    line2: Option<String>,
    /// City.
    #[schema(required, example = "Dakar")]
    city: Option<String>,
    /// State, region.
    #[schema(required)]
    state: Option<String>,
    /// Postal code.
    #[schema(required)]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2 where the text names a country, else the text.
    #[schema(required, example = "SN")]
    country: Option<String>,
}

/// Who holds a record, under which id, and what else it tells.
#[derive(ToSchema)]
pub(in crate::http) struct Holder {
    /// The provider.
    #[schema(example = "lomi")]
    name: String,
    /// The merchant's name for the connection.
    #[schema(example = "main")]
    connection: String,
    /// The id at the provider.
    id: String,
    /// Every field of the provider's that has no place in ours, untouched.
    extra: BTreeMap<String, Value>,
}

/// What became of a field.
#[derive(ToSchema)]
pub(in crate::http) struct FidelityEntry {
    /// The field, such as `address.country`.
    #[schema(example = "address.country")]
    field: String,
    /// `transformed` (same meaning, other spelling), `derived` (computed by the gateway), `carried` (held by the
    /// gateway) or `lost` (stored nowhere).
    #[schema(example = "transformed")]
    outcome: String,
    /// The rule, or the reason of a loss.
    rule: String,
    /// What the provider wrote.
    from: Option<String>,
}

/// The fields of a customer that can be written. For a create, at least what the provider requires; an update is
/// a JSON merge patch (RFC 7396): what is absent stays, `null` clears, objects merge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CustomerFields {
    /// The full name; or give `first_name` and `last_name`.
    #[schema(example = "Awa Diop")]
    name: Option<String>,
    /// The given names.
    first_name: Option<String>,
    /// The family name.
    last_name: Option<String>,
    /// The e-mail address.
    #[schema(example = "awa@example.com")]
    email: Option<String>,
    /// A phone number, best in E.164; national digits are completed with the merchant's region.
    #[schema(example = "+2348123456789")]
    phone: Option<String>,
    /// As `phone`.
    whatsapp: Option<String>,
    /// The postal address.
    address: Option<AddressFields>,
    /// `individual` or `business`.
    r#type: Option<String>,
    /// A decentralised identifier.
    did: Option<String>,
    /// A decimal string, where the provider takes a starting balance.
    balance: Option<String>,
    /// Your own keys.
    metadata: Option<BTreeMap<String, Value>>,
}

/// The parts of an address that can be written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AddressFields {
    /// Street and number.
    line1: Option<String>,
    /// Apartment, building.
    line2: Option<String>,
    /// City.
    city: Option<String>,
    /// State, region.
    state: Option<String>,
    /// Postal code.
    postal_code: Option<String>,
    /// A country by its name or an ISO 3166-1 code.
    country: Option<String>,
}

/// A customer that was deleted.
#[derive(ToSchema)]
pub(in crate::http) struct Deleted {
    /// Always `customer`.
    object: String,
    /// The id.
    id: String,
    /// Always true.
    deleted: bool,
    /// With `include=raw`: what the provider answered.
    raw: Option<Vec<Exchange>>,
}
