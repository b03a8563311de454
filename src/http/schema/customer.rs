//! Customers in requests and answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Exchange;
use crate::openapi::{CustomerObject, CustomerType, ReceiptOutcome, metadata};

/// A customer. It has the same shape with every provider; a field that the provider does not return is `null`.
#[derive(ToSchema)]
pub(in crate::http) struct Customer {
    /// Always `customer`.
    #[schema(inline)]
    object: CustomerObject,
    /// The id. It never changes.
    #[schema(pattern = "^[!-.0-~]{1,255}$", example = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985")]
    id: String,
    /// The full name.
    #[schema(required, example = "Amadou Ba")]
    name: Option<String>,
    /// The given names.
    #[schema(required, example = "Amadou")]
    first_name: Option<String>,
    /// The family name. The gateway never guesses one.
    #[schema(required, example = "Ba")]
    last_name: Option<String>,
    /// The e-mail address.
    #[schema(required, example = "amadou.ba@example.com")]
    email: Option<String>,
    /// In E.164, if the number has a dial code or is a valid number of the merchant's region; otherwise as the provider
    /// returns it.
    #[schema(required, example = "+221771234567")]
    phone: Option<String>,
    /// The WhatsApp number, in the same form as `phone`.
    #[schema(required)]
    whatsapp: Option<String>,
    /// The postal address.
    address: Address,
    /// `individual` or `business`.
    #[schema(required)]
    r#type: Option<CustomerType>,
    /// A decentralised identifier.
    #[schema(required)]
    did: Option<String>,
    /// The balance as a decimal string.
    #[schema(required, example = "0")]
    balance: Option<String>,
    /// Whether a payment is overdue.
    #[schema(required)]
    delinquent: Option<bool>,
    /// Whether the provider refuses this customer's payments.
    #[schema(required)]
    blocked: Option<bool>,
    /// Whether the record is live. `false` means that it is a test record.
    #[schema(required)]
    livemode: Option<bool>,
    /// The merchant's own keys and values.
    metadata: BTreeMap<String, Value>,
    /// When the provider created the record: RFC 3339 in UTC, with at least milliseconds.
    #[schema(required, format = DateTime, example = "2025-04-04T14:21:49.955Z")]
    created_at: Option<String>,
    /// When the record was last changed: RFC 3339 in UTC, with at least milliseconds.
    #[schema(required, format = DateTime, example = "2025-04-04T14:21:49.955Z")]
    updated_at: Option<String>,
    /// The provider that stores the record.
    provider: Holder,
    /// The fields that differ from what the provider stores. In the answer to a create or an update, also what happened to
    /// them on the way to the provider, and those that the provider does not keep as they were asked for. In a list, entries that apply to every customer are in the
    /// list's own `fidelity`.
    fidelity: Vec<FidelityEntry>,
    /// With `include=raw`: the provider's raw answers.
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
    /// The ISO 3166-1 alpha-2 code, if the provider's text names a country; otherwise the text.
    #[schema(required, example = "SN")]
    country: Option<String>,
}

/// The provider that stores a record, its id there, and its other fields.
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
    /// Every field of the provider that this API does not have, unchanged.
    extra: BTreeMap<String, Value>,
}

/// What happened to a field.
#[derive(ToSchema)]
pub(in crate::http) struct FidelityEntry {
    /// The field, such as `address.country`.
    #[schema(example = "address.country")]
    field: String,
    #[schema(inline)]
    outcome: Outcome,
    /// The rule that was applied, or the reason of a loss.
    rule: String,
    /// The value as the provider returned it. For `altered` metadata, the keys that differ with the provider's values.
    from: Option<String>,
}

/// `transformed` (same meaning, different spelling), `derived` (computed by the gateway) or `carried` (stored by the
/// gateway). In the answer to a create, an update or a block also `altered` (the provider keeps another value than was asked for),
/// `unverified` (sent, but neither the answer nor a read shows what the provider keeps) or `lost` (stored nowhere). In the
/// answer to a read, `lost` is a field that the gateway kept for a value which was changed at the provider since.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::http) enum Outcome {
    Transformed,
    Derived,
    Carried,
    Altered,
    Unverified,
    Lost,
}

/// The fields of a customer that a client can write. A create needs at least the fields that the provider requires. An
/// update is a JSON merge patch (RFC 7396): absent fields do not change, `null` clears a field, objects are merged.
/// No update may clear what the provider requires of a create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CustomerFields {
    /// The full name. Or send `first_name` and `last_name`.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096, example = "Awa Diop")]
    name: Option<String>,
    /// The given names.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    first_name: Option<String>,
    /// The family name.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    last_name: Option<String>,
    /// The e-mail address.
    #[schema(format = Email, max_length = 320, example = "awa@example.com")]
    email: Option<String>,
    /// A phone number, preferably in E.164, of at most 15 digits. The merchant's region completes a national number that is
    /// valid there. Any other national number goes to the provider as it is written, and `fidelity` says why.
    #[schema(pattern = r"^ *(00)?[+ ().\/\-]*([0-9][+ ().\/\-]*){3,15}$", max_length = 40, example = "+2348123456789")]
    phone: Option<String>,
    /// The WhatsApp number, in the same form as `phone`.
    #[schema(pattern = r"^ *(00)?[+ ().\/\-]*([0-9][+ ().\/\-]*){3,15}$", max_length = 40)]
    whatsapp: Option<String>,
    /// The postal address.
    address: Option<AddressFields>,
    /// `individual` or `business`.
    #[schema(value_type = Option<CustomerType>)]
    r#type: Option<String>,
    /// A decentralised identifier.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    did: Option<String>,
    /// The first balance as a decimal string, if the provider accepts one.
    #[schema(pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$", max_length = 40, example = "0")]
    balance: Option<String>,
    /// Your own keys and values.
    #[schema(schema_with = metadata)]
    metadata: Option<BTreeMap<String, Value>>,
}

/// The parts of an address that a client can write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AddressFields {
    /// Street and number.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    line1: Option<String>,
    /// Apartment, building.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    line2: Option<String>,
    /// City.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    city: Option<String>,
    /// State, region.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    state: Option<String>,
    /// Postal code.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    postal_code: Option<String>,
    /// The country: its name or its ISO 3166-1 code.
    #[schema(pattern = r"^[^\x00]*[^\s\x00][^\x00]*$", max_length = 4096)]
    country: Option<String>,
}

/// What the erasure of a customer has reached at one connection.
#[derive(ToSchema)]
pub(in crate::http) struct Receipt {
    /// The connection.
    connection: String,
    /// Its provider. Null if the connection is not in the configuration any more.
    provider: Option<String>,
    /// `deleted`, `pending`, or `cannot`.
    outcome: ReceiptOutcome,
    /// Why the customer cannot be deleted there.
    reason: Option<String>,
}

/// A customer that was deleted.
#[derive(ToSchema)]
pub(in crate::http) struct Deleted {
    /// Always `customer`.
    #[schema(inline)]
    object: CustomerObject,
    /// The id.
    #[schema(pattern = "^[!-.0-~]{1,255}$")]
    id: String,
    /// Whether the customer is deleted at its home. It is false only with `elsewhere=true`.
    deleted: bool,
    /// What happens at each connection that holds the customer, its home first. Only for merchants who have begun to switch
    /// providers. What is pending is tried until it is done.
    receipts: Option<Vec<Receipt>>,
    /// With `include=raw`: the provider's raw answers.
    raw: Option<Vec<Exchange>>,
}
