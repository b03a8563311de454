//! The content of a request as earlier versions compared it: the completed command, and whether losses are dropped. The
//! merchant's region and `on_loss` decided about both, so a key with such a content is recognized as long as the region is
//! the same.
//!
//! Needed as long as a store can have keys of such a version: for `store.keep_tombstones`, 30 days by default, after the
//! last gateway of such a version has stopped. Then remove this module with `providers/core/api/earlier.rs`, and
//! `EarlierContents` and the earlier fingerprints from the store.

use std::sync::Arc;

use passerelle_providers::{
    api::earlier,
    model::{Command, LossPolicy},
};

use super::{NewWrite, stored_write};
use crate::store::EarlierContents;

/// The contents that earlier versions made of a request. They are made only if the store needs them.
pub(super) fn contents(write: &NewWrite) -> EarlierContents {
    let (command, surface) = (write.command.clone(), write.surface.name());
    let (region, on_loss) = (write.merchant.region, write.sent.on_loss);
    EarlierContents(Arc::new(move || {
        let content = |command: &Command, on_loss| stored_write::request(command, &surface, on_loss);
        let policies = [LossPolicy::Reject, LossPolicy::Drop];
        // Without a preference of the client, the policy was that of the merchant, which can have changed since.
        let policies = policies.into_iter().filter(|policy| on_loss.is_none_or(|on_loss| on_loss == *policy));
        let commands = [command.clone(), earlier::completed(command.clone(), region)];
        let mut contents: Vec<_> =
            policies.flat_map(|policy| commands.iter().map(move |command| content(command, policy))).collect();
        contents.dedup();
        contents
    }))
}
