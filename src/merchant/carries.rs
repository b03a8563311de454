//! Which merchants have carried fields: those whose configuration allows it, and those with rows in the store from a time
//! when the configuration allowed it. All others make no query for them.

use super::{Gateway, Merchant};
use crate::store::Carried;

impl Gateway {
    /// The same snapshot with the carried fields of the store for the merchants who may have some.
    #[must_use]
    pub fn with_carried(mut self, carried: &Carried) -> Self {
        self.change_merchants(|merchant| {
            if merchant.carried.is_none() && may_carry(merchant, carried) {
                merchant.carried = Some(carried.clone());
            }
        });
        self
    }

    /// Whether a merchant may have carried fields, and this snapshot does not know it yet.
    pub fn lacks_carried(&self, carried: &Carried) -> bool {
        self.by_name.values().any(|merchant| merchant.carried.is_none() && may_carry(merchant, carried))
    }
}

fn may_carry(merchant: &Merchant, carried: &Carried) -> bool {
    merchant.allows_carry || carried.is_known(&merchant.name)
}
