//! Parameters of queries and headers.

use utoipa::IntoParams;

use crate::openapi::{Coalesce, Include};

/// The parameters of every operation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct CommonParameters {
    /// `true`: answer with the requests that the gateway would send to the provider, and send nothing.
    explain: Option<bool>,
    /// `raw`: add the provider's raw answers to the result or to the error.
    include: Option<Include>,
}

/// The headers of every write.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct IdempotencyHeaders {
    /// 1 to 255 visible ASCII characters. The gateway executes requests with the same key once, and answers them alike for 72 hours (`store.keep_answers`). What the client sent must be the same: spaces and the order of members in the body do not matter. Another request with the key is refused (`idempotency_key_reused`).
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$",
        example = "4f1c1c8e-8f0f-4d3b-9d1c-6a2b1e0c7f55"
    )]
    idempotency_key: Option<String>,
    /// `off`: this is a separate write. Without it, and without a key, a request that equals a write in flight or one with an unknown outcome is a repetition of that write.
    #[param(rename = "Idempotency-Coalesce")]
    idempotency_coalesce: Option<Coalesce>,
}

/// The parameters of a page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PageParameters {
    /// The number of entries per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before. Send it with the same filters.
    cursor: Option<String>,
}

/// The filters of the list of customers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct FilterParameters {
    /// Only customers with exactly this e-mail address; case does not matter.
    email: Option<String>,
    /// Only customers with exactly this phone number.
    phone: Option<String>,
    /// Only customers with exactly this decentralised identifier.
    did: Option<String>,
    /// `true`: only blocked customers. `false`: only customers that are not blocked.
    blocked: Option<bool>,
    /// Only customers whose name, e-mail address or phone number contains this text.
    search: Option<String>,
}

/// The look-up of one customer: send exactly one of these.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LookupParameters {
    /// The customer's e-mail address.
    email: Option<String>,
    /// The customer's phone number. Write the plus as `%2B`.
    phone: Option<String>,
    /// The customer's decentralised identifier.
    did: Option<String>,
    /// Your own reference of the customer.
    reference: Option<String>,
}

/// How far a deletion reaches.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ErasureParameters {
    /// `true`: for a customer whose provider cannot delete. The customer stays there, and is erased at every other connection
    /// that holds it. The same request can be sent again to see how far that is.
    elsewhere: Option<bool>,
}
