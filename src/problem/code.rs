//! The stable error codes, with their statuses and meanings. `docs/problems.md` and `GET /docs/problems` are made from
//! this table.

use passerelle_providers::model::{Effect, Error, Kind, Operation};

macro_rules! codes {
    ($( $(#[doc = $meaning:literal])+ $code:ident = $name:literal, $status:literal, $title:literal; )*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $( $(#[doc = $meaning])+ $code, )*
        }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &[Self] = &[$( Self::$code ),*];

            /// The code as answers have it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$code => $name, )* }
            }

            /// The usual HTTP status.
            pub const fn status(self) -> u16 {
                match self { $( Self::$code => $status, )* }
            }

            /// What it is called.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$code => $title, )* }
            }

            /// What it means, and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$code => concat!($($meaning, "\n"),+), )* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or the query cannot be read; or the JSON is one that no two programs read
    /// alike: a key stands twice, a string holds U+0000, an integer needs more than 64 bits. Mend the request.
    MalformedRequest = "malformed_request", 400, "The request cannot be read";
    /// The cursor belongs to another merchant, connection or filter, or it was changed. Begin the list again.
    InvalidCursor = "invalid_cursor", 400, "The cursor cannot be used";
    /// The id in the path does not have the form of the provider's ids. Nothing was sent.
    InvalidId = "invalid_id", 400, "The id cannot be one of the provider's";
    /// No key was presented, or one that no merchant has. Send `Authorization: Bearer <key>`.
    Unauthorized = "unauthorized", 401, "A key is needed";
    /// The key may not do this.
    Forbidden = "forbidden", 403, "The key may not do this";
    /// The provider knows no such customer.
    CustomerNotFound = "customer_not_found", 404, "There is no such customer";
    /// The API has no such path.
    NotFound = "not_found", 404, "There is nothing here";
    /// The merchant's provider does not have this operation. The detail says why, and which providers have
    /// it; `Allow` lists what works on the path. Nothing was sent.
    OperationNotSupported = "operation_not_supported", 405, "The provider cannot do this";
    /// The path has no such method. `Allow` lists those it has.
    MethodNotAllowed = "method_not_allowed", 405, "The path has no such method";
    /// A request with this `Idempotency-Key` is still under way. Ask again after `Retry-After`: the answer will be
    /// that of the first.
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is under way";
    /// This `Idempotency-Key` was used so long ago that its answer is not kept any more. `provider.id` names the
    /// customer it was about. Nothing was sent; look at the customer, or use a new key for a new write.
    IdempotencyKeyExpired = "idempotency_key_expired", 409, "The answer to this key is not kept any more";
    /// The customer whom the write with this `Idempotency-Key` was about was deleted since, and what was answered
    /// went with it. `provider.id` names the customer. Nothing was sent; use a new key for a new write.
    ReplayErased = "replay_erased", 410, "The answer was erased with its customer";
    /// The provider answered a create with a record that belongs to somebody else, as one does whose e-mail
    /// addresses are unique. `provider.id` names the record; nothing was created.
    VendorRecordShared = "vendor_record_shared", 409, "The provider's record belongs to somebody else";
    /// The body is larger than the gateway takes.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The body is not declared as `application/json` (or `application/merge-patch+json` for an update).
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be JSON";
    /// A field or a parameter is wrong. `errors` names each with a JSON Pointer or its name.
    InvalidRequest = "invalid_request", 422, "A field is wrong";
    /// The provider cannot hold some of the fields, and the loss policy is `reject`. `errors` names them.
    /// Leave them out, or send `Prefer: loss=drop`. Nothing was sent.
    FieldsNotSupported = "fields_not_supported", 422, "The provider cannot hold these fields";
    /// The provider's own validation refused the request. `errors` has its field errors, mapped to ours.
    ProviderRejected = "provider_rejected", 422, "The provider refused the request";
    /// This `Idempotency-Key` came with another request before. A key belongs to one request; nothing was sent.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The key belongs to another request";
    /// A text holds a card number, which the gateway never takes. Remove it.
    CardDataRefused = "card_data_refused", 422, "Card numbers are not taken";
    /// This connection's own `rate_limit` is used up. Nothing was sent; try again after `Retry-After`.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The provider limits our requests. Try again after `Retry-After`.
    ProviderRateLimited = "provider_rate_limited", 429, "The provider limits our requests";
    /// A fault of the gateway itself. It is in its log, under the request's id.
    Internal = "internal", 500, "The gateway failed";
    /// The provider failed, also when it was asked again.
    ProviderError = "provider_error", 502, "The provider failed";
    /// The provider refuses the credentials of this connection. Check them with `passerelle check --probe`.
    ProviderUnauthorized = "provider_unauthorized", 502, "The provider refuses our credentials";
    /// The provider's answer could not be understood: it is HTML, empty, cut off, too large or of another
    /// shape than documented.
    ProviderBadResponse = "provider_bad_response", 502, "The provider's answer cannot be understood";
    /// As many requests to the provider are under way as are allowed. Nothing was sent; try again.
    Overloaded = "overloaded", 503, "Too many requests are under way";
    /// The provider cannot be reached, or a look-up read as far as it may without an end. Nothing was changed.
    ProviderUnavailable = "provider_unavailable", 503, "The provider cannot be reached";
    /// Nothing can be recorded, and no write is sent that could not be. Nothing was sent; reads go on. Try again.
    StoreUnavailable = "store_unavailable", 503, "Writes cannot be recorded";
    /// The provider did not answer a read in time. Try again.
    ProviderTimeout = "provider_timeout", 504, "The provider did not answer in time";
    /// A write was sent, and it is not known whether it was carried out: the answer did not come (504), or
    /// could not be understood (502). It is looked for: `GET /v1/operations/{operation_id}` tells what is found, and
    /// the same request with the same `Idempotency-Key` is answered with it.
    OutcomeUnknown = "outcome_unknown", 504, "It is not known whether this happened";
}

impl Code {
    /// The code and the status of what an adapter or the way out reported.
    pub(super) fn of(error: &Error, operation: Operation) -> (Self, u16) {
        let unknown = error.effect == Effect::Unknown;
        let code = match error.kind {
            Kind::InvalidId => Self::InvalidId,
            Kind::Malformed => Self::MalformedRequest,
            Kind::Invalid => Self::InvalidRequest,
            Kind::FieldsNotSupported => Self::FieldsNotSupported,
            Kind::CardData => Self::CardDataRefused,
            Kind::NotSupported => Self::OperationNotSupported,
            // A collection that is not there is a wrong address, not a missing customer.
            Kind::NotFound if matches!(operation, Operation::Create | Operation::List) => Self::ProviderBadResponse,
            Kind::NotFound => Self::CustomerNotFound,
            Kind::Rejected => Self::ProviderRejected,
            Kind::SharedRecord => Self::VendorRecordShared,
            Kind::RateLimited => Self::ProviderRateLimited,
            Kind::Unauthorized => Self::ProviderUnauthorized,
            Kind::ProviderFailed | Kind::BadResponse if unknown => return (Self::OutcomeUnknown, 502),
            Kind::Interrupted | Kind::TimedOut if unknown => return (Self::OutcomeUnknown, 504),
            Kind::ProviderFailed | Kind::Interrupted => Self::ProviderError,
            Kind::BadResponse => Self::ProviderBadResponse,
            Kind::Unreachable | Kind::ScanBound => Self::ProviderUnavailable,
            Kind::Overloaded => Self::Overloaded,
            Kind::Throttled => Self::RateLimited,
            Kind::TimedOut => Self::ProviderTimeout,
            Kind::NoRoute => Self::Internal,
        };
        (code, code.status())
    }
}
