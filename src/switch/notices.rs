//! What a plan says first (R24, R26): what the lists and the limits of both connections mean for the whole switch.

use passerelle_providers::model::{
    Operation,
    manifest::{ListCoverage, Support},
};

use super::view::Reason;
use crate::merchant::Connection;

/// The notices of a plan. They close no gate.
pub(super) fn of(from: &Connection, to: &Connection, has_file: bool) -> Vec<Reason> {
    let named = |connection: &Connection| format!("`{}` ({})", connection.name, connection.manifest.name);
    let mut notices = Vec::new();
    let mut add = |code: &str, detail: String| notices.push(Reason { code: code.to_owned(), detail });
    if let ListCoverage::Only(shown) = from.manifest.lists {
        let then = match has_file {
            true => "the file says who there is",
            false => {
                "the plan has no other customers; give it the merchant's own list of all customers with `--from-file FILE`"
            }
        };
        add("source_lists_partly", format!("{} lists only {shown}: {then}", named(from)));
    }
    if let ListCoverage::Only(shown) = to.manifest.lists {
        let detail = format!("{} lists only {shown}: customers are not matched with its other records", named(to));
        add("target_lists_partly", detail);
    }
    if let Support::No(why) = to.manifest.operation(Operation::Create) {
        let detail = format!("{} cannot create customers ({why}): they can only be linked with its records", named(to));
        add("target_cannot_create", detail);
    }
    let live = from.upstream.sent_in_last_minute();
    if let Some(limit) = to.upstream.most_per_minute()
        && live > limit
    {
        let detail = format!(
            "this process sent {live} requests to `{}` in the last minute, and the `rate_limit` of `{}` allows {limit}: \
             after the cutover clients would be refused",
            from.name, to.name
        );
        add("target_rate", detail);
    }
    notices
}
