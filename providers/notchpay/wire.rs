//! The JSON documents of Notch Pay's customers API. Tags such as (prose) name a source in the README.

use serde::Deserialize;
use serde_json::Value;

use super::NotchPay;
use crate::{
    json::{Loose, Number, ObjectOrOther, Raw},
    kit::{NestedAddress, NestsAddress, Words, document::wire},
    model::Field,
    text::Str,
};

wire! {
    /// A customer, as in every answer (prose) (oas).
    answer Customer<'a> by id {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Loose<'a> = "phone",
        metadata: Raw<'a> = "metadata",
        #[omitted]
        address: ObjectOrOther<'a, Address<'a>> = "address",
        #[omitted]
        blocked: bool = "blocked",
        #[omitted]
        sandbox: bool = "sandbox",
        created_at: Str<'a> = "created_at",
        updated_at: Str<'a> = "updated_at",
    }

    /// One customer in its envelope (prose). One page of the documents names the member `data` (respdoc). An answer
    /// without a customer may have `[]` instead (oas).
    answer One<'a> {
        customer: ObjectOrOther<'a, Customer<'a>> = "customer" | "data",
    }

    /// A page of records (prose). The member of payments may be `payments` (oas) (py). Payment methods have no counts
    /// (oas).
    answer Page<'a> of T {
        #[omitted]
        totals: u64 = "totals",
        #[omitted]
        last_page: u64 = "last_page",
        #[omitted]
        current_page: u64 = "current_page",
        #[omitted]
        selected: u64 = "selected",
        items: Vec<T> = "items",
        #[omitted]
        payments: Vec<T> = "payments",
    }

    /// A payment (prose).
    answer Payment<'a> by id {
        id: Str<'a> = "id",
        reference: Str<'a> = "reference",
        amount: Number<'a> = "amount",
        currency: Str<'a> = "currency",
        status: Str<'a> = "status",
        created_at: Str<'a> = "created_at",
    }

    /// A payment method (oas).
    answer PaymentMethod<'a> by id {
        id: Str<'a> = "id",
        kind: Str<'a> = "type",
        channel: Str<'a> = "channel",
        phone: Loose<'a> = "phone",
        created_at: Str<'a> = "created_at",
    }

    /// The body of a create or an update (prose) (oas).
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Loose<'a> = "phone",
        metadata: Raw<'a> = "metadata",
        address: Address<'a> = "address",
    }
}

/// A customer's address (oas).
pub(super) type Address<'a> = NestedAddress<'a, NotchPay>;

impl NestsAddress for NotchPay {
    const WORDS: Words = Words(&[
        ("address.country", Field::Country),
        ("address.state", Field::State),
        ("address.city", Field::City),
        ("address.postal_code", Field::PostalCode),
        ("address.address_line1", Field::Line1),
        ("address.address_line2", Field::Line2),
    ]);
}

/// An error (errdoc). The older API writes its code as a string (G1).
#[derive(Deserialize, Default)]
pub(super) struct Failure {
    pub(super) code: Option<Value>,
    pub(super) message: Option<String>,
    pub(super) errors: Option<Value>,
}
