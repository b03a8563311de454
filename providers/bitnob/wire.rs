//! Bitnob's words: the documents of its customers API, in the spellings of both generations. What is read
//! knows every spelling; what is written has one: generation v1's documents are the `Camel` ones.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::wire::{Str, wire};

wire! {
    /// A customer, as every answer holds it [seed] [cli]; `phone_number` and `dial_code` are the newest names [nb].
    answer Customer<'a> {
        id: Str<'a> = "id",
        email: Str<'a> = "email",
        #[omitted]
        metadata: &'a RawValue = "metadata",
        #[omitted]
        customer_type: Str<'a> = "customer_type" | "customerType",
        first_name: Str<'a> = "first_name" | "firstName",
        last_name: Str<'a> = "last_name" | "lastName",
        phone: Str<'a> = "phone" | "phone_number" | "phoneNumber",
        country_code: Str<'a> = "country_code" | "countryCode" | "dial_code" | "dialCode",
        blacklist: bool = "blacklist",
        created_at: Str<'a> = "created_at" | "createdAt",
        updated_at: Str<'a> = "updated_at" | "updatedAt",
    }

    /// A customer as generation v1 writes it: all of it, always [old] [py].
    answer CamelCustomer<'a> {
        id: Str<'a> = "id",
        created_at: Str<'a> = "createdAt",
        updated_at: Str<'a> = "updatedAt",
        first_name: Str<'a> = "firstName",
        last_name: Str<'a> = "lastName",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        country_code: Str<'a> = "countryCode",
        blacklist: bool = "blacklist",
    }

    /// One customer in its envelope. A create says `success`, the others `status` [cli].
    answer One<'a> {
        status: &'a RawValue = "status" | "success",
        status_code: &'a RawValue = "statusCode",
        data: Customer<'a> = "data",
    }

    /// A page of customers in its envelope [cli] [oldlive].
    answer Page<'a> {
        status: &'a RawValue = "status" | "success",
        status_code: &'a RawValue = "statusCode",
        data: Listed<'a> = "data",
    }

    /// The inside of a page.
    answer Listed<'a> {
        customers: Vec<Customer<'a>> = "customers",
        meta: Meta = "meta",
    }

    /// What a page tells of itself [seed].
    answer Meta {
        page: u64 = "page",
        take: u64 = "take",
        item_count: u64 = "item_count" | "itemCount",
        page_count: u64 = "page_count" | "pageCount",
        has_next_page: bool = "has_next_page" | "hasNextPage",
    }

    /// What create and update take [seed]; an update takes no type [cli].
    request CustomerInput<'a> {
        customer_type: Str<'a> = "customer_type" | "customerType",
        first_name: Str<'a> = "first_name" | "firstName",
        last_name: Str<'a> = "last_name" | "lastName",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone" | "phone_number" | "phoneNumber",
        country_code: Str<'a> = "country_code" | "countryCode" | "dial_code" | "dialCode",
    }

    /// The same as generation v1 writes it [old].
    request CamelCustomerInput<'a> {
        first_name: Str<'a> = "firstName",
        last_name: Str<'a> = "lastName",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        country_code: Str<'a> = "countryCode",
    }

    /// Puts a customer on the blacklist, or takes it off [seed].
    request BlacklistInput {
        blacklist: bool = "blacklist",
    }
}

impl<'a> From<Customer<'a>> for CamelCustomer<'a> {
    fn from(told: Customer<'a>) -> Self {
        let Customer { id, email, first_name, last_name, phone, country_code, blacklist, extra, .. } = told;
        let Customer { created_at, updated_at, .. } = told;
        Self { id, created_at, updated_at, first_name, last_name, email, phone, country_code, blacklist, extra }
    }
}

impl<'a> From<CustomerInput<'a>> for CamelCustomerInput<'a> {
    fn from(asked: CustomerInput<'a>) -> Self {
        let CustomerInput { customer_type: _, first_name, last_name, email, phone, country_code } = asked;
        Self { first_name, last_name, email, phone, country_code }
    }
}

/// Anything in an envelope.
#[derive(Serialize)]
pub(super) struct Envelope<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<bool>,
    pub(super) message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<T>,
}

/// The inside of a page, to be written.
#[derive(Serialize)]
pub(super) struct PageBody<T> {
    pub(super) customers: Vec<T>,
    pub(super) meta: Value,
}

/// An error in any of the four shapes, of which no member has one type in all of them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Failure {
    /// Problem details: the code is its last segment [gp].
    pub(super) r#type: Value,
    pub(super) title: Value,
    pub(super) detail: Value,
    pub(super) code: Value,
    /// The HTTP status in problem details, a verdict in an envelope.
    pub(super) status: Value,
    pub(super) success: Value,
    #[serde(rename = "statusCode")]
    pub(super) status_code: Value,
    /// A text, or a list of them [py].
    pub(super) message: Value,
    /// A title beside `message`, an object with a code, or the message [gp].
    pub(super) error: Value,
    pub(super) details: Value,
}
