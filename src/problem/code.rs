//! The stable error codes with their HTTP statuses, titles and meanings. `docs/problems.md` and `GET /docs/problems` are
//! generated from this table, so its comments are written for the people who call the API.

use std::borrow::Cow;

use passerelle_providers::model::{Effect, Error, Kind, Operation};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::openapi::one_of;

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

            /// The value of `code` in an answer.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$code => $name, )* }
            }

            /// Where the API's reference explains the code: the value of `type` in an answer.
            pub const fn explanation(self) -> &'static str {
                match self { $( Self::$code => concat!("/docs/problems#", $name), )* }
            }

            /// The usual HTTP status.
            pub const fn status(self) -> u16 {
                match self { $( Self::$code => $status, )* }
            }

            /// The value of `title` in an answer.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$code => $title, )* }
            }

            /// What happened, and what the client can do.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$code => concat!($($meaning, "\n"),+), )* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or the query cannot be decoded. JSON that programs decode differently is refused, too: a
    /// key that occurs twice, a string with U+0000, an integer of more than 64 bits. So is JSON with more levels, keys or items
    /// than the gateway accepts (`server.max_json_depth`, `server.max_json_keys`, `server.max_json_items`). Correct the request.
    MalformedRequest = "malformed_request", 400, "The request cannot be decoded";
    /// The cursor belongs to another merchant, connection, filter or page size, or it was changed; or the list began at a
    /// connection that the merchant has left: its switch of providers is completed. Start the list again without a cursor.
    InvalidCursor = "invalid_cursor", 400, "The cursor cannot be used";
    /// The id in the path does not have the form of the provider's ids. Nothing was sent to the provider.
    InvalidId = "invalid_id", 400, "The id has the wrong form";
    /// The request has no API key, or one that belongs to no merchant, has expired, or is not valid yet. Send
    /// `Authorization: Bearer <key>`.
    Unauthorized = "unauthorized", 401, "A valid API key is needed";
    /// The API key lacks the scope that this operation needs: `read`, `write` or `admin`. `detail` names the scope and the key.
    /// Nothing was sent to the provider. Use a key that has the scope, or ask the operator of the gateway for it. In the console of
    /// the operator it means that a page of another site sent a form.
    Forbidden = "forbidden", 403, "The API key does not allow this";
    /// The provider has no customer with this id, or no customer matches the look-up.
    CustomerNotFound = "customer_not_found", 404, "The customer does not exist";
    /// The API does not have this path, or the path names something that does not exist, such as an operation.
    NotFound = "not_found", 404, "The path does not exist";
    /// The merchant's provider does not support this operation. `detail` says why, and which providers support it.
    /// `Allow` lists the methods that work on this path. Nothing was sent to the provider. If `provider.status` is 404 or
    /// 405, the provider has the operation, and its API for this account lacks it: nothing was changed.
    OperationNotSupported = "operation_not_supported", 405, "The provider does not support this";
    /// The path does not have this method. `Allow` lists the methods that it has.
    MethodNotAllowed = "method_not_allowed", 405, "The path does not have this method";
    /// The gateway still executes a write with this `Idempotency-Key`. Send the same request again after `Retry-After`:
    /// it gets the answer of the first one. While a merchant switches providers, it also means that a create of the same e-mail
    /// address or phone number has not ended at another connection.
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is in flight";
    /// A write with this `Idempotency-Key` was executed so long ago that its answer is not stored any more.
    /// `provider.id` is the customer's id. Nothing was sent now. Retrieve the customer, or use a new key for a new write.
    IdempotencyKeyExpired = "idempotency_key_expired", 409, "The answer to this key is not stored any more";
    /// The customer of the write with this `Idempotency-Key` was deleted later, and the stored answer was erased with
    /// it. `provider.id` is the customer's id. Nothing was sent now. Use a new key for a new write.
    ReplayErased = "replay_erased", 410, "The answer was erased with its customer";
    /// The provider answered a create with a record that it already had, and whose e-mail address or name differs from the
    /// request: it belongs to another customer. The record is old, or was the answer to another create, whose e-mail address
    /// or name differs. Providers where an e-mail address is unique do this. `provider.id` is the id of the record. Nothing
    /// was created.
    VendorRecordShared = "vendor_record_shared", 409, "The record belongs to another customer";
    /// Several customers match a look-up, or a create with `distinct=true`. `ids` has their ids, at most a hundred. Nothing
    /// was created. Retrieve the customer that you mean by its id.
    LookupAmbiguous = "lookup_ambiguous", 409, "Several customers match";
    /// The id is not one that the merchant was given first, and several customers have it, each at another connection. `ids`
    /// has the ids that the merchant was given. Nothing was sent to a provider. Use the one of the customer that you mean.
    IdAmbiguous = "id_ambiguous", 409, "The id names several customers";
    /// The switch is in another state, or its merchant's active connection has changed, since the operator decided on this
    /// command. Nothing was changed. Read the switch again, and decide again.
    SwitchChanged = "switch_changed", 409, "The switch has changed";
    /// The switch is in a state that does not allow this command, or the command's conditions are not met. `reasons` says
    /// which, and how to meet them; those that can be accepted have a code for `accept`. Nothing was changed.
    SwitchRefused = "switch_refused", 409, "The switch does not allow this now";
    /// The body of the request arrived too slowly. The gateway closes the connection. Send the request again.
    RequestTimeout = "request_timeout", 408, "The body did not arrive in time";
    /// The body is larger than the gateway accepts (`server.max_body`).
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The path and the query of the request are longer than `server.max_uri` (8 KiB).
    UriTooLong = "uri_too_long", 414, "The path and query are too long";
    /// The body is not declared as `application/json` (or `application/merge-patch+json` for an update).
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be JSON";
    /// The request has an `Expect` header with something else than `100-continue`. Nothing was done. Leave it out.
    ExpectationFailed = "expectation_failed", 417, "The expectation cannot be met";
    /// The `Host` header names neither the address of the operator's listener nor one of `operator.hosts`. A web page that
    /// has its own name point at the listener sends such a request.
    WrongHost = "wrong_host", 421, "The request is for another host";
    /// Fields or parameters are wrong. `errors` names each field by a JSON Pointer, and each parameter by its name.
    InvalidRequest = "invalid_request", 422, "A field is wrong";
    /// The provider cannot store some of the fields, or cannot clear them, and the loss policy is `reject`. `errors`
    /// names them. Leave them out, send `Prefer: loss=drop`, or, where the
    /// merchant's configuration allows it, `Prefer: loss=carry`. Nothing was sent to the provider.
    FieldsNotSupported = "fields_not_supported", 422, "The provider cannot store these fields";
    /// The provider's own validation refused the request. `errors` has the provider's errors, with the field names of this
    /// API.
    ProviderRejected = "provider_rejected", 422, "The provider refused the request";
    /// This `Idempotency-Key` was used for a different request before. Nothing was sent now. First read the earlier write:
    /// `GET /v1/operations/{operation_id}` shows it and its outcome. If it is the write that you mean, do not send it again,
    /// even if its outcome is `unknown`: with a new key it can be executed a second time. Use a new key for another write.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The idempotency key belongs to another request";
    /// A text or a number contains a card number: 13 to 19 digits that a card network gives out and that pass its check
    /// (Luhn); in place of a phone number, 16 digits or more. The gateway never accepts one. Remove it.
    CardDataRefused = "card_data_refused", 422, "Card numbers are not accepted";
    /// The `rate_limit` that the operator set for the merchant or for the connection is reached. Nothing was sent to the
    /// provider. Try again after `Retry-After`. While the merchant has a limit, every answer to its clients has
    /// `RateLimit-Policy` and `RateLimit`, which say how many requests are left.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The key of the request is not valid, and so were too many others from the address of the client
    /// (`server.wrong_keys_per_address`). Try again after `Retry-After`, with a valid key: a valid key works all the same.
    TooManyWrongKeys = "too_many_wrong_keys", 429, "Too many wrong keys";
    /// The provider refuses the request because it received too many from this account. Until `Retry-After`, the gateway
    /// sends it no further request of this connection, and answers this code itself. Try again then.
    ProviderRateLimited = "provider_rate_limited", 429, "The provider received too many requests";
    /// The headers of the request are larger than `server.max_headers_size` (16 KiB), or there are more than
    /// `server.max_headers` (64).
    HeadersTooLarge = "headers_too_large", 431, "The headers are too large";
    /// The gateway itself failed. Its log has the cause under the request's id.
    Internal = "internal", 500, "The gateway failed";
    /// The provider answered with a failure of its own, or broke the connection. The gateway has already repeated
    /// requests that are safe to repeat.
    ProviderError = "provider_error", 502, "The provider failed";
    /// The provider refuses the credentials in the gateway's configuration. The operator can check them with
    /// `passerelle check --probe`. After several refusals, the gateway sends nothing until `Retry-After`.
    ProviderUnauthorized = "provider_unauthorized", 502, "The provider refuses the gateway's credentials";
    /// The provider's answer cannot be used: it is HTML, empty, cut off, too large, or has a shape that the provider does
    /// not document; it is about another customer than the one that was asked for; or an id in it does not have the form
    /// of the provider's ids.
    ProviderBadResponse = "provider_bad_response", 502, "The provider's answer cannot be used";
    /// The gateway already answers as many requests as it can, or has as many in flight to providers as it allows, or the bodies of the merchant's
    /// requests, those of all requests, or the replies of providers need all the memory that it allows. Nothing was
    /// changed. Try again.
    Overloaded = "overloaded", 503, "Too many requests are in flight";
    /// The provider cannot be reached; or it has failed so often that the gateway sends it nothing until `Retry-After`; or the
    /// gateway has read as many pages as it may for one search and has not found the end. Nothing was changed. Try again
    /// later.
    ProviderUnavailable = "provider_unavailable", 503, "The provider cannot be reached";
    /// The gateway cannot record writes in its store, so it sends none. Nothing was sent to the provider. Reads still work,
    /// except look-ups at a provider whose lists do not show every customer, and all reads of a merchant who has begun to
    /// switch providers: these need the store. Try again.
    StoreUnavailable = "store_unavailable", 503, "Writes cannot be recorded";
    /// The provider did not answer in time. Nothing was changed. Try again.
    ProviderTimeout = "provider_timeout", 504, "The provider did not answer in time";
    /// A write was sent, but it is not known whether the provider executed it: there was no answer (504), or the answer
    /// cannot be used (502). The gateway reconciles it: it asks the provider what happened.
    /// `GET /v1/operations/{operation_id}` shows the outcome, and the same request with the same `Idempotency-Key` gets
    /// the final answer. Do not send the write again with another key.
    OutcomeUnknown = "outcome_unknown", 504, "It is not known whether the write was executed";
}

/// The codes in the answers to merchants' clients, for the OpenAPI document.
#[derive(Debug)]
pub enum CodeForClients {}

/// The codes in the answers to operators, for the OpenAPI document.
#[derive(Debug)]
pub enum CodeForOperators {}

impl PartialSchema for CodeForClients {
    fn schema() -> RefOr<Schema> {
        codes(|code| !matches!(code, Code::SwitchChanged | Code::SwitchRefused | Code::WrongHost))
    }
}

impl ToSchema for CodeForClients {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ProblemCode")
    }
}

impl PartialSchema for CodeForOperators {
    fn schema() -> RefOr<Schema> {
        codes(|code| {
            // Providers are not asked in a request of the operator.
            let of_providers = code.name().starts_with("provider_");
            let of_customers = matches!(
                code,
                Code::InvalidId
                    | Code::Forbidden
                    | Code::CustomerNotFound
                    | Code::OperationNotSupported
                    | Code::IdempotencyKeyExpired
                    | Code::ReplayErased
                    | Code::VendorRecordShared
                    | Code::LookupAmbiguous
                    | Code::IdAmbiguous
                    | Code::FieldsNotSupported
                    | Code::CardDataRefused
                    | Code::OutcomeUnknown
            );
            !of_providers && !of_customers
        })
    }
}

impl ToSchema for CodeForOperators {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ProblemCode")
    }
}

fn codes(is_told: fn(Code) -> bool) -> RefOr<Schema> {
    let names: Vec<&str> = Code::ALL.iter().copied().filter(|code| is_told(*code)).map(Code::name).collect();
    one_of(&names)
        .description(Some("A stable error code. `/docs/problems` explains each. New ones may come with a new version."))
        .into()
}

impl Code {
    /// The code and the status of an error from an adapter or from the upstream stack.
    pub(super) fn of(error: &Error, operation: Operation) -> (Self, u16) {
        let unknown = error.effect == Effect::Unknown;
        let code = match error.kind {
            Kind::InvalidId => Self::InvalidId,
            Kind::Malformed => Self::MalformedRequest,
            Kind::Invalid => Self::InvalidRequest,
            Kind::FieldsNotSupported => Self::FieldsNotSupported,
            Kind::CardData => Self::CardDataRefused,
            Kind::NotSupported => Self::OperationNotSupported,
            // These operations name no customer: a 404 means that the base URL is wrong.
            Kind::NotFound if matches!(operation, Operation::Create | Operation::List) => Self::ProviderBadResponse,
            Kind::NotFound => Self::CustomerNotFound,
            Kind::Rejected => Self::ProviderRejected,
            Kind::SharedRecord => Self::VendorRecordShared,
            Kind::Ambiguous => Self::LookupAmbiguous,
            Kind::AmbiguousId => Self::IdAmbiguous,
            Kind::InProgress => Self::IdempotencyInProgress,
            Kind::RateLimited => Self::ProviderRateLimited,
            Kind::Unauthorized => Self::ProviderUnauthorized,
            Kind::ProviderFailed | Kind::BadResponse if unknown => return (Self::OutcomeUnknown, 502),
            Kind::Interrupted | Kind::TimedOut if unknown => return (Self::OutcomeUnknown, 504),
            Kind::ProviderFailed | Kind::Interrupted => Self::ProviderError,
            Kind::BadResponse => Self::ProviderBadResponse,
            Kind::Unreachable | Kind::ScanBound => Self::ProviderUnavailable,
            Kind::Overloaded => Self::Overloaded,
            Kind::StoreUnavailable => Self::StoreUnavailable,
            Kind::Throttled => Self::RateLimited,
            Kind::TimedOut => Self::ProviderTimeout,
            Kind::NoRoute | Kind::Refused(_) => Self::Internal,
        };
        (code, code.status())
    }
}
