//! The JSON documents of PaymentKit's customers API. Tags such as (docs) name a source in the README.

use serde::Deserialize;

use super::PaymentKit;
use crate::{
    json::{Loose, ObjectOrOther, Raw},
    kit::{NestedAddress, NestsAddress, Words, document::wire},
    model::Field,
    text::Str,
};

wire! {
    /// A customer, as in every answer (docs).
    answer Customer<'a> by id {
        id: Str<'a> = "id",
        did: Str<'a> = "did",
        livemode: bool = "livemode",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        address: ObjectOrOther<'a, Address<'a>> = "address",
        balance: Loose<'a> = "balance",
        delinquent: bool = "delinquent",
        metadata: Raw<'a> = "metadata",
        created_at: Str<'a> = "created_at",
        updated_at: Str<'a> = "updated_at",
    }

    /// A page of customers. `paging` may be missing (sdk).
    answer Page<'a> {
        count: u64 = "count",
        list: Vec<Customer<'a>> = "list",
        #[omitted]
        paging: Raw<'a> = "paging",
    }

    /// A customer's overdue invoices, and their sums by currency. The sums may be missing (docs) (sdk).
    answer Overdue<'a> {
        customer: ObjectOrOther<'a, Customer<'a>> = "customer",
        invoices: Vec<Invoice<'a>> = "invoices",
        summary: Raw<'a> = "summary",
    }

    /// An invoice. Its amounts are integers in strings, too large for number types (sdk).
    answer Invoice<'a> by id {
        id: Str<'a> = "id",
        number: Str<'a> = "number",
        status: Str<'a> = "status",
        currency_id: Str<'a> = "currency_id",
        amount_due: Loose<'a> = "amount_due",
        amount_remaining: Loose<'a> = "amount_remaining",
        created_at: Str<'a> = "created_at",
    }

    /// The optional body of a retrieve (sdk).
    request RetrieveInput {
        create: bool = "create",
    }

    /// The body of an update (docs).
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        address: Address<'a> = "address",
        metadata: Raw<'a> = "metadata",
    }
}

/// An address. Every part is optional (docs).
pub(super) type Address<'a> = NestedAddress<'a, PaymentKit>;

impl NestsAddress for PaymentKit {
    const WORDS: Words = Words(&[
        ("address.country", Field::Country),
        ("address.state", Field::State),
        ("address.city", Field::City),
        ("address.line1", Field::Line1),
        ("address.line2", Field::Line2),
        ("address.postal_code", Field::PostalCode),
    ]);
}

/// An error: one string, and in a few cases a code (sdk).
#[derive(Deserialize)]
pub(super) struct Failure {
    pub(super) code: Option<String>,
    pub(super) error: String,
}
