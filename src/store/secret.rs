//! The store's own secret, from which its hashes derive, in the table `meta`. It is made once, for a new store. The same
//! table serves to try whether the store can write.

use async_trait::async_trait;

use super::{
    database::{Database, Group, Session, Work, read, values::Value, write},
    error::StoreError,
    hashes::Hashes,
    keyring::Keyring,
    sealed,
};

/// The row of the secret.
const NAME: &str = "secret";

/// Opens the secret with the keyring, or makes one for a new store.
pub(super) async fn unlock(database: &dyn Database, keyring: &Keyring) -> Result<Hashes, StoreError> {
    let place = sealed::META.at(NAME);
    let fresh = keyring.seal(place, &Hashes::fresh_secret()?)?;
    let sealed = write(database, Secret { fresh }).await?;
    Ok(Hashes::derive(&keyring.open(place, &sealed)?))
}

/// Whether the store has its secret, so that it needs the key that sealed it.
pub(super) async fn is_stored(database: &dyn Database) -> Result<bool, StoreError> {
    read(database, HasSecret).await
}

struct HasSecret;

#[async_trait]
impl Work for HasSecret {
    type Done = bool;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        Ok(!session.rows("SELECT value FROM meta WHERE name = 'secret'", &[]).await?.is_empty())
    }
}

/// The store's own secret, as it is sealed; the one given if there is none yet.
struct Secret {
    fresh: Vec<u8>,
}

#[async_trait]
impl Work for Secret {
    type Done = Vec<u8>;

    /// It is not audited, but it looks for the secret before it inserts one: two replicas that start together on a new
    /// database could otherwise both insert.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<u8>, StoreError> {
        let select = "SELECT value FROM meta WHERE name = 'secret'";
        if let Some(mut row) = session.rows(select, &[]).await?.pop() {
            return row.bytes();
        }
        session.execute("INSERT INTO meta (name, value) VALUES ('secret', ?1)", &[Value::Bytes(&self.fresh)]).await?;
        Ok(self.fresh.clone())
    }
}

/// Writes, and leaves nothing behind.
pub(super) struct Probe;

#[async_trait]
impl Work for Probe {
    type Done = ();

    /// Two replicas could insert the row at the same time.
    const RUNS_ALONE: bool = true;

    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        session.execute("INSERT INTO meta (name, value) VALUES ('probe', ?1)", &[Value::Bytes(&[0])]).await?;
        session.execute("DELETE FROM meta WHERE name = 'probe'", &[]).await.map(|_| ())
    }
}
