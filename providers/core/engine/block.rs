//! Compares the result of a block or an unblock with what it asked for. A provider may answer the record unchanged. Of an
//! update, compares whether the customer is blocked with the record before.
//!
//! `write_work` and `compare` call it after the provider has answered the write.

use std::sync::Arc;

use super::{
    compare::Answered,
    differences::{CHANGED_TOO, OTHER_VALUE, READ_FAILED},
    execute::retrieve,
};
use crate::{
    kit::{CustomerProvider, Transport},
    model::{Customer, CustomerId, Entry, Field, Outcome},
    text::Text,
};

const NOT_SHOWN: &str = "neither the answer nor a read shows it";

/// Reports a block that is not as it was asked for. If the answer does not show it, this reads the customer once.
pub(super) async fn check(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    (id, wanted): (&CustomerId, bool),
    customer: &mut Customer,
    answered: Answered,
) {
    let mut unverified = NOT_SHOWN;
    if customer.blocked.is_none() && answered == Answered::ByWrite {
        match retrieve(provider, transport, id).await {
            Ok(read) => customer.blocked = read.blocked,
            Err(_) => unverified = READ_FAILED,
        }
    }
    let (outcome, rule, from) = match customer.blocked {
        Some(blocked) if blocked == wanted => return,
        Some(blocked) => (Outcome::Altered, OTHER_VALUE, Some(text_of(blocked))),
        None => (Outcome::Unverified, unverified, None),
    };
    customer.fidelity.push(Entry { field: Field::Blocked, outcome, rule, from });
}

/// Reports a block that an update made or ended, although it did not ask for that.
pub(super) fn report_unasked(before: &Customer, customer: &mut Customer) {
    if let (Some(before), Some(blocked)) = (before.blocked, customer.blocked)
        && before != blocked
    {
        let (outcome, from) = (Outcome::Altered, Some(text_of(blocked)));
        customer.fidelity.push(Entry { field: Field::Blocked, outcome, rule: CHANGED_TOO, from });
    }
}

fn text_of(flag: bool) -> Text {
    Text::from_static(if flag { "true" } else { "false" })
}
