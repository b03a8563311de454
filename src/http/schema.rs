//! The API's documents as its OpenAPI document describes them. The tests hold every answer of the gateway
//! against these.
#![expect(dead_code, reason = "these types describe; the views of the model write")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// A customer, the same whoever holds it. What the provider does not tell is `null`.
#[derive(ToSchema)]
pub(super) struct Customer {
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
pub(super) struct Address {
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
pub(super) struct Holder {
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
pub(super) struct FidelityEntry {
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
pub(super) struct CustomerFields {
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
pub(super) struct AddressFields {
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

macro_rules! lists {
    ($( $(#[$meta:meta])* $name:ident of $entry:ident; )*) => {$(
        $(#[$meta])*
        #[derive(ToSchema)]
        pub(super) struct $name {
            /// Always `list`.
            #[schema(example = "list")]
            object: String,
            /// The entries, in the provider's order.
            data: Vec<$entry>,
            /// Whether there may be more. A filtered page can be short, or empty, while there are.
            has_more: bool,
            /// Give it as `cursor` for the next page, with the same filters.
            #[schema(required)]
            next_cursor: Option<String>,
            /// How many there are in all, where the provider tells.
            #[schema(required)]
            total_count: Option<u64>,
            /// `provider` or `gateway`; `null` without a filter.
            #[schema(required)]
            filtered_by: Option<String>,
            /// What holds for every entry.
            fidelity: Vec<FidelityEntry>,
            /// With `include=raw`: what the provider answered.
            raw: Option<Vec<Exchange>>,
            /// Overdue invoices only: the provider's sums by currency.
            summary: Option<BTreeMap<String, Value>>,
        }
    )*};
}

lists! {
    /// A page of customers.
    CustomerList of Customer;
    /// A page of payment methods.
    PaymentMethodList of PaymentMethod;
    /// A page of payments.
    PaymentList of Payment;
    /// A customer's overdue invoices.
    InvoiceList of Invoice;
}

/// A means of paying.
#[derive(ToSchema)]
pub(super) struct PaymentMethod {
    /// Always `payment_method`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The provider's word for its sort.
    #[schema(required)]
    r#type: Option<String>,
    /// The provider's channel.
    #[schema(required)]
    channel: Option<String>,
    /// The last four digits.
    #[schema(required)]
    last4: Option<String>,
    /// The phone number it is bound to.
    #[schema(required)]
    phone: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}

/// A payment.
#[derive(ToSchema)]
pub(super) struct Payment {
    /// Always `payment`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The merchant's reference.
    #[schema(required)]
    reference: Option<String>,
    /// A decimal string, in the provider's unit.
    #[schema(required, example = "5000")]
    amount: Option<String>,
    /// The provider's currency code.
    #[schema(required, example = "XAF")]
    currency: Option<String>,
    /// The provider's word.
    #[schema(required, example = "complete")]
    status: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}

/// An invoice that was not paid.
#[derive(ToSchema)]
pub(super) struct Invoice {
    /// Always `invoice`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The number printed on it.
    #[schema(required)]
    number: Option<String>,
    /// The provider's word.
    #[schema(required)]
    status: Option<String>,
    /// A decimal string, in the provider's unit; it may have more digits than any number type.
    #[schema(required)]
    amount_due: Option<String>,
    /// As `amount_due`.
    #[schema(required)]
    amount_remaining: Option<String>,
    /// The provider's currency code or id.
    #[schema(required)]
    currency: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}

/// A customer that was deleted.
#[derive(ToSchema)]
pub(super) struct Deleted {
    /// Always `customer`.
    object: String,
    /// The id.
    id: String,
    /// Always true.
    deleted: bool,
    /// With `include=raw`: what the provider answered.
    raw: Option<Vec<Exchange>>,
}

/// With `explain=true`, what any operation answers: what would be sent, and what becomes of each field.
#[derive(ToSchema)]
pub(super) struct Explanation {
    /// Always `explanation`.
    object: String,
    /// The operation.
    operation: String,
    /// Who would be asked.
    provider: ExplainedProvider,
    /// The requests in order.
    requests: Vec<ExplainedRequest>,
    /// What becomes of the fields.
    fidelity: Vec<FidelityEntry>,
}

/// Who would be asked.
#[derive(ToSchema)]
pub(super) struct ExplainedProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
}

/// A request that would be sent.
#[derive(ToSchema)]
pub(super) struct ExplainedRequest {
    /// The method.
    method: String,
    /// The full URL.
    url: String,
    /// The headers, secrets masked.
    headers: BTreeMap<String, String>,
    /// The JSON body.
    #[schema(required)]
    body: Option<Value>,
    /// Whether an earlier answer decides on it.
    depends_on_previous: Option<bool>,
}

/// What a provider answered.
#[derive(ToSchema)]
pub(super) struct Exchange {
    /// The HTTP status.
    status: u16,
    /// Selected headers.
    headers: BTreeMap<String, String>,
    /// The body: JSON, or text as a string.
    body: Value,
}

/// An error (RFC 9457). `/docs/problems` tells what each code means.
#[derive(ToSchema)]
pub(super) struct Problem {
    /// Where the code is explained.
    #[schema(example = "/docs/problems#customer_not_found")]
    r#type: String,
    /// What it is called.
    title: String,
    /// The HTTP status.
    status: u16,
    /// A stable code.
    #[schema(example = "customer_not_found")]
    code: String,
    /// What happened, and what to do.
    detail: String,
    /// The fields that are wrong.
    errors: Vec<ProblemField>,
    /// The request, as the gateway's log names it.
    request_id: String,
    /// Whether anything happened at the provider: `none`, `done` or `unknown`.
    #[schema(example = "none")]
    outcome: String,
    /// Whether the same request can simply be sent again.
    safe_to_retry: bool,
    /// The attempt whose outcome is unknown.
    operation_id: Option<String>,
    /// Who was asked; `null` before a provider is known.
    #[schema(required)]
    provider: Option<ProblemProvider>,
    /// With `include=raw`: what the provider answered.
    raw: Option<Vec<Exchange>>,
}

/// A field that is wrong.
#[derive(ToSchema)]
pub(super) struct ProblemField {
    /// A JSON Pointer into the body, or the name of a parameter.
    #[schema(example = "/address/city")]
    pointer: String,
    /// What is wrong.
    detail: String,
}

/// Who was asked, and what it said.
#[derive(ToSchema)]
pub(super) struct ProblemProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
    /// Its HTTP status.
    #[schema(required)]
    status: Option<u16>,
    /// Its error code.
    #[schema(required)]
    code: Option<String>,
    /// Its message.
    #[schema(required)]
    message: Option<String>,
    /// The record that somebody else holds, for `vendor_record_shared`.
    id: Option<String>,
}

/// Whether the process is well.
#[derive(ToSchema)]
pub(super) struct Health {
    /// `ok` or `draining`.
    status: String,
}

/// The errors that any operation can answer.
#[derive(IntoResponses)]
pub(super) enum Problems {
    /// The request cannot be read, or the id or the cursor cannot be one of ours.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// No key, or one that no merchant has.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such customer, or no such path.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The merchant's provider cannot do this; `Allow` tells what it can.
    #[response(status = 405, content_type = "application/problem+json")]
    NotSupported(Problem),
    /// The same write is under way, or its answer is not kept any more; or the provider's record belongs to somebody
    /// else.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The customer was deleted, and the answer that is asked for again went with it.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// A field is wrong, or the provider cannot hold it, or refused it.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Too many requests; `Retry-After` tells when to come back.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// A fault of the gateway.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The provider failed, refused our credentials, or answered what cannot be understood.
    #[response(status = 502, content_type = "application/problem+json")]
    Provider(Problem),
    /// The provider cannot be reached, or we are overloaded.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
    /// No answer in time; for a write, it may have happened.
    #[response(status = 504, content_type = "application/problem+json")]
    Timeout(Problem),
}

/// What every operation takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Everywhere {
    /// `true`: answer an explanation of what would be sent, and send nothing.
    explain: Option<bool>,
    /// `raw`: show what the provider answered beside the result, on errors too.
    #[param(example = "raw")]
    include: Option<String>,
}

/// What every write takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Repeated {
    /// 1 to 255 visible ASCII characters: the same request with the same key is carried out once, and answered alike for 72 hours.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
    /// `off`: without a key, this is no repetition of the same request that is under way or unknown, but another write.
    #[param(rename = "Idempotency-Coalesce", example = "off")]
    idempotency_coalesce: Option<String>,
}

/// A walk through a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Walk {
    /// The size of a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// Where to go on: the `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Which customers a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filters {
    /// Exactly this e-mail address, whatever its case.
    email: Option<String>,
    /// Exactly this phone number.
    phone: Option<String>,
    /// Exactly this decentralised identifier.
    did: Option<String>,
    /// Only blocked ones, or only ones that are not.
    blocked: Option<bool>,
    /// Name, e-mail or phone contains this text.
    search: Option<String>,
}

/// By what one customer is found: exactly one of these.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct By {
    /// Its e-mail address.
    email: Option<String>,
    /// Its phone number; write the plus as `%2B`.
    phone: Option<String>,
    /// Its decentralised identifier.
    did: Option<String>,
    /// Your own reference.
    reference: Option<String>,
}
