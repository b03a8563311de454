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
    /// 1 to 255 visible ASCII characters, such as a new UUID. The gateway executes requests with the same key once, and answers them alike for 72 hours (`store.keep_answers`). What the client sent must be the same: spaces and the order of members in the body do not matter. Another request with the key is refused (`idempotency_key_reused`).
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]{1,255}$")]
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
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// The filters of the list of customers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct FilterParameters {
    /// Only customers with exactly this e-mail address; case does not matter.
    #[param(format = Email, max_length = 320)]
    email: Option<String>,
    /// Only customers with exactly this phone number.
    #[param(pattern = r"^ *(00)?[+ ().\/\-]*([0-9][+ ().\/\-]*){3,15}$", max_length = 40)]
    phone: Option<String>,
    /// Only customers with exactly this decentralised identifier.
    #[param(min_length = 1, pattern = r"^[^\x00]+$")]
    did: Option<String>,
    /// `true`: only blocked customers. `false`: only customers that are not blocked.
    blocked: Option<bool>,
    /// Only customers whose name, e-mail address or phone number contains this text.
    #[param(min_length = 1, pattern = r"^[^\x00]+$")]
    search: Option<String>,
}

/// The look-up of one customer: send exactly one of these.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LookupParameters {
    /// The customer's e-mail address.
    #[param(format = Email, max_length = 320)]
    email: Option<String>,
    /// The customer's phone number. Write the plus as `%2B`.
    #[param(pattern = r"^ *(00)?[+ ().\/\-]*([0-9][+ ().\/\-]*){3,15}$", max_length = 40)]
    phone: Option<String>,
    /// The customer's decentralised identifier.
    #[param(min_length = 1, pattern = r"^[^\x00]+$")]
    did: Option<String>,
    /// Your own reference of the customer.
    #[param(min_length = 1, pattern = r"^[^\x00]+$")]
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
