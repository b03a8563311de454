//! The JSON documents of lomi's customers API, generation v1. Tags such as (docs) name a source in the README.

use serde::{Deserialize, Serialize};

use crate::{json::Raw, kit::document::wire, text::Str};

wire! {
    /// A customer, as in every answer (docs).
    answer Customer<'a> by customer_id {
        customer_id: Str<'a> = "customer_id",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone_number: Str<'a> = "phone_number",
        whatsapp_number: Str<'a> = "whatsapp_number",
        country: Str<'a> = "country",
        city: Str<'a> = "city",
        address: Str<'a> = "address",
        postal_code: Str<'a> = "postal_code",
        is_business: bool = "is_business",
        metadata: Raw<'a> = "metadata",
        #[omitted]
        environment: Str<'a> = "environment",
        created_at: Str<'a> = "created_at",
        updated_at: Str<'a> = "updated_at",
    }

    /// One customer in its envelope (docs).
    answer One<'a> {
        data: Customer<'a> = "data",
    }

    /// A page of customers in its envelope (docs). Later generations name the member `customers`.
    answer Page<'a> {
        data: Vec<Customer<'a>> = "data" | "customers",
    }

    /// The body of a create or an update (docs).
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone_number: Str<'a> = "phone_number",
        whatsapp_number: Str<'a> = "whatsapp_number",
        country: Str<'a> = "country",
        city: Str<'a> = "city",
        address: Str<'a> = "address",
        postal_code: Str<'a> = "postal_code",
        is_business: bool = "is_business",
        metadata: Raw<'a> = "metadata",
    }
}

/// The answer to a delete (docs).
#[derive(Serialize)]
pub(super) struct Deleted<'a> {
    pub(super) customer_id: &'a str,
    pub(super) deleted: bool,
}

/// The envelope of every success.
#[derive(Serialize)]
pub(super) struct Envelope<T> {
    pub(super) data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meta: Option<Meta>,
}

/// The description of a page. It has no total (docs).
#[derive(Serialize)]
pub(super) struct Meta {
    pub(super) current_page: u64,
    pub(super) per_page: u16,
}

/// An error. Only its message is in every one (run).
#[derive(Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) error: FailureBody,
}

/// The members of an error.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct FailureBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<String>,
}
