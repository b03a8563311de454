//! What all handles of one store share.

use std::sync::Arc;

use super::{
    database::Database,
    keyring::{Hashes, Keyring},
    lease::Renewals,
    terms::Terms,
};

/// An open database with its key.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Arc<dyn Database>,
    pub(super) keyring: Keyring,
    pub(super) hashes: Arc<Hashes>,
    pub(super) terms: Arc<Terms>,
    pub(super) renewals: Arc<Renewals>,
}
