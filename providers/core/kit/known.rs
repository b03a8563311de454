//! What the gateway itself knows of the customers at a provider whose lists do not show every customer. The engine asks
//! for it through the [`Transport`](crate::kit::Transport), because it has no storage of its own.

use async_trait::async_trait;

use crate::{
    model::{Customer, Error, Lookup},
    text::Text,
};

/// The customers of one connection that the gateway created or changed, by e-mail address and phone number.
#[async_trait]
pub trait KnownCustomers: Send + Sync {
    /// The ids at the provider of the customers with this e-mail address or phone number, the newest first. An answer is
    /// only a hint: the customer may have changed or may not exist any more, so the caller has to retrieve it.
    async fn find(&self, lookup: &Lookup) -> Result<Vec<Text>, Error>;

    /// Corrects what the gateway knows. The provider was asked for a customer that [`Self::find`] named, and the customer
    /// does not match the look-up, or does not exist (`None`).
    async fn correct(&self, lookup: &Lookup, id: &Text, customer: Option<&Customer>);
}
