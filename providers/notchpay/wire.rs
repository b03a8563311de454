//! Notch Pay's words: the documents of its customers API.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::NotchPay;
use crate::{
    model::Field,
    wire::{Loose, NestedAddress, NestsAddress, Perhaps, Str, Words, wire},
};

wire! {
    /// A customer, as every answer holds it [prose] [oas]. The oldest generation names its id `customer_id`.
    answer Customer<'a> {
        id: Str<'a> = "id" | "customer_id",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Loose<'a> = "phone",
        metadata: &'a RawValue = "metadata",
        #[omitted]
        address: Perhaps<'a, Address<'a>> = "address",
        #[omitted]
        blocked: bool = "blocked",
        #[omitted]
        sandbox: bool = "sandbox",
        created_at: Str<'a> = "created_at",
        updated_at: Str<'a> = "updated_at",
    }

    /// One customer in its envelope [prose]; one page of the documents names it `data` [respdoc]. An answer
    /// without a customer may hold `[]` instead [oas].
    answer One<'a> {
        customer: Perhaps<'a, Customer<'a>> = "customer" | "data",
    }

    /// A page of customers [prose].
    answer Customers<'a> {
        items: Vec<Customer<'a>> = "items" | "data",
        totals: u64 = "totals",
        last_page: u64 = "last_page",
        current_page: u64 = "current_page",
    }

    /// A page of a customer's payments [prose]; the reference names them `payments` [oas] [py].
    answer Payments<'a> {
        items: Vec<Payment<'a>> = "items" | "payments" | "data",
        totals: u64 = "totals",
        last_page: u64 = "last_page",
        current_page: u64 = "current_page",
    }

    /// A payment [prose].
    answer Payment<'a> {
        id: Str<'a> = "id",
        reference: Str<'a> = "reference",
        amount: &'a RawValue = "amount",
        currency: Str<'a> = "currency",
        status: Str<'a> = "status",
        created_at: Str<'a> = "created_at",
    }

    /// A customer's payment methods, all at once [oas].
    answer PaymentMethods<'a> {
        items: Vec<PaymentMethod<'a>> = "items" | "data",
    }

    /// A payment method [oas].
    answer PaymentMethod<'a> {
        id: Str<'a> = "id",
        kind: Str<'a> = "type",
        channel: Str<'a> = "channel",
        phone: Loose<'a> = "phone",
        created_at: Str<'a> = "created_at",
    }

    /// What create and update take [seed] [oas].
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Loose<'a> = "phone",
        metadata: &'a RawValue = "metadata",
        address: Address<'a> = "address",
    }
}

/// Where a customer lives [oas].
pub(super) type Address<'a> = NestedAddress<'a, NotchPay>;

impl NestsAddress for NotchPay {
    const WORDS: Words = Words(&[
        ("name", Field::Name),
        ("email", Field::Email),
        ("phone", Field::Phone),
        ("metadata", Field::Metadata),
        ("address.country", Field::Country),
        ("address.state", Field::State),
        ("address.city", Field::City),
        ("address.postal_code", Field::PostalCode),
        ("address.address_line1", Field::Line1),
        ("address.address_line2", Field::Line2),
    ]);
}

/// What a page told of the list.
pub(super) struct Pages {
    pub(super) current: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) total: Option<u64>,
}

/// What every answer says, with its own part behind it [prose].
#[derive(Serialize)]
pub(super) struct Said<T> {
    pub(super) code: u16,
    pub(super) status: &'static str,
    pub(super) message: &'static str,
    #[serde(flatten)]
    pub(super) about: T,
}

/// One customer.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) customer: Customer<'a>,
}

/// A list; only that of the payment methods has no pages.
#[derive(Serialize)]
pub(super) struct Listed<T> {
    #[serde(flatten)]
    pub(super) counts: Option<Counts>,
    pub(super) items: Vec<T>,
}

/// A list of payments under both of its names.
#[derive(Serialize)]
pub(super) struct PaymentsListed<'p, T> {
    #[serde(flatten)]
    pub(super) list: &'p Listed<T>,
    pub(super) payments: &'p [T],
}

/// What a page tells of the list [prose].
#[derive(Serialize)]
pub(super) struct Counts {
    pub(super) totals: u64,
    pub(super) last_page: u64,
    pub(super) current_page: u64,
    pub(super) selected: usize,
}

/// An error [errdoc]. The older API writes its code as a string.
#[derive(Deserialize)]
pub(super) struct Failure {
    pub(super) code: Option<serde_json::Value>,
    pub(super) message: Option<String>,
    pub(super) errors: Option<serde_json::Value>,
}
