//! The methods of a path that a merchant's provider supports, for the header `Allow`.

use passerelle_providers::model::{Operation, manifest::Manifest};

/// The methods that the provider supports on the path of an operation, as far as `is_allowed` does not exclude them.
pub(super) fn allowed_methods(
    manifest: &Manifest,
    operation: Operation,
    is_allowed: impl Fn(Operation) -> bool,
) -> String {
    let operations_on_path: &[(Operation, &str)] = match operation {
        Operation::Create | Operation::List => &[(Operation::List, "GET"), (Operation::Create, "POST")],
        Operation::Retrieve | Operation::Update | Operation::Delete => {
            &[(Operation::Retrieve, "GET"), (Operation::Update, "PATCH"), (Operation::Delete, "DELETE")]
        }
        Operation::Find
        | Operation::Block
        | Operation::Unblock
        | Operation::PaymentMethods
        | Operation::Payments
        | Operation::OverdueInvoices => &[],
    };
    let supported = operations_on_path
        .iter()
        .filter(|(operation, _)| manifest.operation(*operation).is_supported() && is_allowed(*operation));
    supported.map(|(_, method)| *method).collect::<Vec<_>>().join(", ")
}
