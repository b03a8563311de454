//! The JSON documents of Modem Pay's customers API. Tags such as (docs) name a source in the README.

use serde::{Deserialize, Serialize};

use crate::text::Str;
use crate::{
    json::{Loose, Number},
    kit::document::wire,
};

wire! {
    /// A customer, without an envelope in every answer (docs).
    answer Customer<'a> by id {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        balance: Number<'a> = "balance",
        test_mode: bool = "test_mode",
        created_at: Str<'a> = "createdAt",
        updated_at: Str<'a> = "updatedAt",
    }

    /// A payment method. `type` names the member with its details (docs).
    answer PaymentMethod<'a> by id {
        id: Str<'a> = "id",
        kind: Str<'a> = "type",
        created_at: Str<'a> = "createdAt",
    }

    /// The details of a payment method (docs).
    answer Detail<'a> {
        kind: Str<'a> = "type",
        last4: Loose<'a> = "last4",
        gateway: Str<'a> = "gateway",
        #[omitted]
        gateway_name: Str<'a> = "gateway_name",
        #[omitted]
        phone: Loose<'a> = "phone",
    }

    /// A page of customers or of payment methods (docs).
    answer Page<'a> of T {
        data: Vec<T> = "data",
        meta: Meta<'a> = "meta",
    }

    /// The description of a list (docs).
    answer Meta<'a> {
        total: u64 = "total",
    }

    /// The body of a create (docs). An update has it inside a wrapper.
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        balance: Number<'a> = "balance",
        config: Config = "config",
    }

    /// Options of a create (docs).
    request Config {
        distinct: bool = "distinct",
    }

    /// The body of an update, wrapped unlike that of a create (sdk).
    request Update<'a> {
        data: CustomerInput<'a> = "data",
    }
}

/// An error. The message may be any JSON (err).
#[derive(Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) message: Option<serde_json::Value>,
    #[serde(rename = "statusCode")]
    pub(super) status_code: Option<serde_json::Value>,
}
