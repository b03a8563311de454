//! The rules of a switch that the model can be checked without.

/// One thing that a rule of a switch demands. The number is that of the rule; a rule that demands several things has several
/// of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// R2: a claim of a client's write pins its customer to its home.
    ClaimPins,
    /// R2: a claim of a copy pins its customer to its home.
    CopyPins,
    /// R2: a customer is unpinned only if it is copied, and no write to it is open or unknown.
    UnpinAsks,
    /// R11: a claim is made against the epoch and the home of its customer.
    ClaimAsks,
    /// R12: an unknown create is reconciled where it was sent, and not sent to the connection that is active now.
    CreateStays,
    /// R12: an unknown create is not sent again at a connection that is not active any more.
    CreateIsNotRepeated,
    /// R19: a copy is claimed, so one copy of a customer at a connection is open at a time, and its outcome is kept.
    CopyIsClaimed,
    /// R19: while a copy is open, another copier concludes nothing from what it finds there.
    OpenCopyStops,
    /// R19: the id of what a copy made is kept in the transaction of the end of the copy.
    CopyEndsWithRow,
    /// R21: the claim of a write raises the version of its customer.
    ClaimRaises,
    /// R21: the end of a write raises the version of its customer.
    EndRaises,
    /// R21: a copy is claimed against the version that its copier read.
    CopyNamesVersion,
    /// R21: a copied state that is older than the version is not believed.
    OlderIsNotBelieved,
    /// R23: a confirmed deletion stays for ever.
    TombstoneStays,
    /// R23: the claim of a deletion stops copies.
    DeletionStopsCopies,
}
