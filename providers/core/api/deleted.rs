//! The answer to a deletion, with the receipts of the connections that hold the customer.

use crate::{
    json::{Json, write::member},
    text::{JsonText, Str},
};

/// A customer that was deleted.
#[derive(Debug)]
pub struct DeletedView<'a> {
    /// The id.
    pub id: &'a str,
    /// Whether the customer is deleted at its home.
    pub deleted: bool,
    /// What happens at each connection that holds the customer. Empty for a merchant who never began to switch providers.
    pub receipts: &'a [Receipt],
}

/// What the erasure of a customer has reached at one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The connection.
    pub connection: String,
    /// Its provider, if the connection is in the configuration.
    pub provider: Option<&'static str>,
    /// `deleted`, `pending` or `cannot`.
    pub outcome: &'static str,
    /// Why it cannot be deleted there.
    pub reason: Option<String>,
}

impl Json for DeletedView<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        member!(out, r#"{"object":"customer","id":"#, Some(&Str::new(self.id)));
        out.extend_from_slice(if self.deleted { br#","deleted":true"# } else { br#","deleted":false"# });
        for (index, receipt) in self.receipts.iter().enumerate() {
            out.extend_from_slice(if index == 0 { br#","receipts":[{"# } else { b",{" });
            member!(out, r#""connection":"#, Some(&Str::new(&receipt.connection)));
            member!(out, r#","provider":"#, receipt.provider.map(Str::new).as_ref());
            member!(out, r#","outcome":"#, Some(&Str::new(receipt.outcome)));
            member!(out, r#","reason":"#, receipt.reason.as_deref().map(Str::new).as_ref());
            out.push(b'}');
        }
        if !self.receipts.is_empty() {
            out.push(b']');
        }
        out.push(b'}');
    }
}
