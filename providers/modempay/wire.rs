//! Modem Pay's words: the documents of its customers API.

use serde::{Deserialize, Serialize};

use crate::text::Str;
use crate::{
    json::{Loose, Number},
    kit::document::wire,
};

wire! {
    /// A customer, bare in every answer (seed).
    answer Customer<'a> {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        balance: Number<'a> = "balance",
        test_mode: bool = "test_mode",
        created_at: Str<'a> = "createdAt",
        updated_at: Str<'a> = "updatedAt",
    }

    /// A means of paying; its details are a member named by `type` (seed).
    answer PaymentMethod<'a> {
        id: Str<'a> = "id",
        kind: Str<'a> = "type",
        created_at: Str<'a> = "createdAt",
    }

    /// The details of a means of paying (seed).
    answer Detail<'a> {
        kind: Str<'a> = "type",
        last4: Loose<'a> = "last4",
        gateway: Str<'a> = "gateway",
        #[omitted]
        gateway_name: Str<'a> = "gateway_name",
        #[omitted]
        phone: Loose<'a> = "phone",
    }

    /// A page of customers or of means of paying (seed).
    answer Page<'a> of T {
        data: Vec<T> = "data",
        meta: Meta<'a> = "meta",
    }

    /// What a page tells of its list (seed).
    answer Meta<'a> {
        total: u64 = "total",
    }

    /// What a create takes, and an update inside its wrapper (seed).
    request CustomerInput<'a> {
        name: Str<'a> = "name",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone",
        balance: Number<'a> = "balance",
        config: Config = "config",
    }

    /// How a create is done (seed).
    request Config {
        distinct: bool = "distinct",
    }

    /// What an update takes: wrapped, unlike a create (sdk).
    request Update<'a> {
        data: CustomerInput<'a> = "data",
    }
}

/// An error; the message may be any JSON (err).
#[derive(Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) message: Option<serde_json::Value>,
    #[serde(rename = "statusCode")]
    pub(super) status_code: Option<serde_json::Value>,
}
