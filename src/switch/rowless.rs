//! Records of a switch whose customer has no row. There are two kinds: customers of a file that the list of the source does
//! not show (R24), and customers that were deleted between the plan and the first run.

use passerelle_providers::switch::{Finding, FindingCode};

use super::{
    context::{Context, Copied, Pair, Stalled},
    provider::{Contacts, configured},
    side::{Read, Reader},
    view::Outcome,
};
use crate::store::RecordRow;

/// Gives the customer of a record its row, if the source knows the customer: then it is copied in its turn.
pub(super) async fn find(context: &Context, pair: &Pair, record: &RecordRow) -> Result<Copied, Stalled> {
    let pending = Copied::of(Outcome::Pending);
    let ids = context.store.ids();
    let resolved = ids.resolve(&pair.merchant, Some(&record.public_id)).await?;
    let is_known = resolved
        .is_none_or(|resolved| resolved.customers.iter().any(|customer| customer.public_id == record.public_id));
    if is_known {
        return Ok(pending);
    }
    let source_id = record.source_id.as_deref().unwrap_or(&record.public_id);
    let (merchant, connection) = configured(context, &pair.merchant, &pair.from)?;
    let reader = Reader { context, merchant: &merchant, connection: &connection };
    match reader.record(source_id).await? {
        Read::Found(customer) => {
            let contacts = Contacts::of(&customer);
            ids.adopt(&pair.merchant, &pair.from, &[contacts.record(&customer)]).await?;
            Ok(pending)
        }
        Read::Missing => {
            let detail = format!("`{}` does not find the customer any more", pair.from);
            let finding = Some(Finding::new(FindingCode::CustomerGone, None, detail));
            Ok(Copied { finding, ..Copied::of(Outcome::Gone) })
        }
        read => {
            let finding = Some(read.finding(&connection));
            Ok(Copied { finding, ..Copied::of(Outcome::Refused) })
        }
    }
}
