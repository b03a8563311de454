//! Parameters of queries and headers.

use utoipa::IntoParams;

/// What every operation takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Everywhere {
    /// `true`: answer an explanation of what would be sent, and send nothing.
    explain: Option<bool>,
    /// `raw`: show what the provider answered beside the result, on errors too.
    #[param(example = "raw")]
    include: Option<String>,
}

/// What every write takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct Repeated {
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
pub(in crate::http) struct Walk {
    /// The size of a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// Where to go on: the `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Which customers a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Filters {
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
pub(in crate::http) struct By {
    /// Its e-mail address.
    email: Option<String>,
    /// Its phone number; write the plus as `%2B`.
    phone: Option<String>,
    /// Its decentralised identifier.
    did: Option<String>,
    /// Your own reference.
    reference: Option<String>,
}
