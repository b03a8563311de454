//! The rules of a switch from one provider to another: what becomes of a record, what a copy sends, how two sides compare,
//! and what a provider keeps. They are pure. The planner, the copier and the verification all ask these functions, so a plan
//! and its execution agree.
//!
//! A copy goes from the side that is read, which is the customer's home, to the other side. Before a cutover that is from
//! the source to the target, and after it the other way round.

mod command;
mod compare;
mod cycle;
mod decision;
mod finding;
mod forecast;
mod judge;
mod metadata;
mod preview;
mod seen;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

pub use command::{Base, block_command, create_command, update_command};
pub use compare::{Comparison, Difference, Equality, compare};
pub use cycle::unique_conflict;
pub use decision::Decision;
pub use finding::{Finding, FindingCode, Level, codes_markdown};
pub use forecast::{FieldForecast, Forecast, RecordForecast, forecast};
pub use judge::{Candidate, Source, Verdict, judge};
pub use preview::{Previewed, preview};
pub use seen::{Hash, Seen};
pub use value::value_hash;

use crate::{
    kit::CustomerProvider,
    model::{Customer, manifest::Manifest},
    text::country::Region,
};

/// One side of a switch.
#[derive(Debug, Clone, Copy)]
pub struct Side<'s> {
    /// The connection's name in the configuration.
    pub connection: &'s str,
    /// The provider, configured for this connection.
    pub provider: &'s Arc<dyn CustomerProvider>,
}

impl Side<'_> {
    /// The abilities of the provider.
    pub fn manifest(&self) -> &'static Manifest {
        self.provider.manifest()
    }

    fn region(&self) -> Option<Region> {
        self.provider.region()
    }
}

/// The value under the metadata key that a reference such as `metadata.KEY` names.
pub fn reference_of(customer: &Customer, reference: &str) -> Option<String> {
    metadata::text(&customer.metadata, reference.strip_prefix("metadata.")?)
}

/// Both sides of a copy, and the settings of the switch that decide about a record.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'s> {
    /// The side that is read: the customer's home.
    pub from: Side<'s>,
    /// The side that is written.
    pub to: Side<'s>,
    /// The metadata key that `switch.reference = "metadata.KEY"` names: customers with the same value there are the same.
    pub reference: Option<&'s str>,
}

impl<'s> Sides<'s> {
    /// Both sides, without a reference.
    pub const fn new(from: Side<'s>, to: Side<'s>) -> Self {
        Self { from, to, reference: None }
    }

    /// The same sides for the way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, reference: self.reference }
    }
}
