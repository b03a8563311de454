//! Mistakes that a gateway or a database could have. None of them is in the product: they are made where the simulation
//! stands between the gateway and the store or the provider.

use std::borrow::Cow;

/// A mistake that the checks must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Some claims are acknowledged and not kept.
    LostClaim,
    /// Some creates are sent twice.
    DoubleSend,
    /// Where the connection breaks after a request was sent, the gateway takes it for one that was not sent.
    WrongCause,
    /// The end of an attempt is stored also after another attempt has taken the write over and has ended it.
    StaleAttempt,
    /// Neither the claims nor the ends of writes raise the version of their customer, so that a copy of an older state is
    /// taken for one of the newest.
    StaleVersion,
}

/// How often a mistake is made where it can be, in ten thousand.
pub(crate) const OFTEN: u64 = 2_500;

/// Whether a statement claims a write.
pub(crate) fn claims(statement: &str) -> bool {
    statement.starts_with("INSERT INTO operations")
}

/// The statement with which the store asks whether an attempt may end its write.
pub(crate) fn without_fence(statement: &str) -> Cow<'_, str> {
    let fence = "WHERE this.id = ?1 AND this.attempt = ?2 AND this.state IN ('sending', 'unknown')";
    match statement.contains(fence) {
        true => statement.replace(fence, "WHERE this.id = ?1 AND this.attempt >= ?2").into(),
        false => statement.into(),
    }
}

/// The statements with which claims and ends raise the version of a customer.
pub(crate) fn without_version(statement: &str) -> Cow<'_, str> {
    statement.replace("SET version = version + 1", "SET version = version + 0").into()
}
