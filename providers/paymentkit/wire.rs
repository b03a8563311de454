//! PaymentKit's words: the documents of its customers API.

use serde::Deserialize;

use super::PaymentKit;
use crate::{
    json::{Loose, Perhaps, Raw},
    kit::{NestedAddress, NestsAddress, Words, document::wire},
    model::Field,
    text::Str,
};

wire! {
    /// A customer, as every answer holds it (seed).
    answer Customer<'a> {
        id: Str<'a> = "id",
        did: Str<'a> = "did",
        livemode: bool = "livemode",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        address: Perhaps<'a, Address<'a>> = "address",
        balance: Loose<'a> = "balance",
        delinquent: bool = "delinquent",
        metadata: Raw<'a> = "metadata",
        created_at: Str<'a> = "created_at",
        updated_at: Str<'a> = "updated_at",
    }

    /// A page of customers; `paging` may be missing (sdk).
    answer Page<'a> {
        count: u64 = "count",
        list: Vec<Customer<'a>> = "list",
        #[omitted]
        paging: Raw<'a> = "paging",
    }

    /// A customer's overdue invoices, and their sums by currency, which may be missing (seed, sdk).
    answer Overdue<'a> {
        customer: Raw<'a> = "customer",
        invoices: Vec<Invoice<'a>> = "invoices",
        summary: Raw<'a> = "summary",
    }

    /// An invoice. Amounts are integers in strings that no number type holds (sdk).
    answer Invoice<'a> {
        id: Str<'a> = "id",
        number: Str<'a> = "number",
        status: Str<'a> = "status",
        currency_id: Str<'a> = "currency_id",
        amount_due: Loose<'a> = "amount_due",
        amount_remaining: Loose<'a> = "amount_remaining",
        created_at: Str<'a> = "created_at",
    }

    /// What a retrieve may be sent with (sdk).
    request RetrieveInput {
        create: bool = "create",
    }

    /// What update takes (seed).
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        address: Address<'a> = "address",
        metadata: Raw<'a> = "metadata",
    }
}

/// An address, every part of it optional (seed).
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

/// An error: one string, and seldom a code (sdk).
#[derive(Deserialize)]
pub(super) struct Failure {
    pub(super) code: Option<String>,
    pub(super) error: String,
}
