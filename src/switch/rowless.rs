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

/// A customer of the plan without a row: the first pass did not list it. Lists prove nothing, so it is read by its id, which
/// gives it a row. `Some`: it cannot be read, such as a customer who was deleted between the plan and the first `run`.
pub(super) async fn adopt(
    context: &Context,
    pair: &Pair,
    active: &str,
    public_id: &str,
) -> Result<Option<Copied>, Stalled> {
    let gateway = context.gateway.load_full();
    let found = gateway.connection(&pair.merchant, active).ok_or_else(|| Stalled::not_configured(active))?;
    let (merchant, connection) = found;
    let reader = Reader { context, merchant, connection };
    let (outcome, finding) = match reader.as_client(public_id, public_id).await? {
        Read::Found(_) => return Ok(None),
        read @ Read::Missing => (Outcome::Gone, read.finding(connection)),
        read => (Outcome::NeedsDecision, read.finding(connection)),
    };
    Ok(Some(Copied { finding: Some(finding), ..Copied::of(outcome) }))
}

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
