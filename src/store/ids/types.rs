//! The types of the interface.

use std::collections::HashMap;

/// The connection that serves a merchant, and how often that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The active connection.
    pub connection: String,
    /// The number of changes so far.
    pub epoch: u64,
    /// The switch that is open: from its first run until it is completed or abandoned.
    pub open: Option<OpenSwitch>,
}

/// A switch that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSwitch {
    /// Its id.
    pub id: String,
    /// The connection of the switch that is not active.
    pub other: String,
}

/// A customer at a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewId {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The connection.
    pub connection: String,
    /// The id at the connection.
    pub provider_id: String,
    /// Where the customer stays whichever connection is active. It counts if this is the first row of the customer.
    pub pinned: Option<String>,
}

/// What became of a [`NewId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is stored, now or before.
    Stored,
    /// The customer has another id at this connection, or the id there is that of another customer.
    Taken,
    /// The merchant has no routing row.
    NotRouted,
}

/// A record of a connection. Equal contacts must be given as equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownRecord<'a> {
    /// Its id at the connection.
    pub provider_id: &'a str,
    /// Its e-mail address.
    pub email: Option<&'a str>,
    /// Its phone number.
    pub phone: Option<&'a str>,
}

/// What is known of a record that was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedId {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The connection where the customer lives.
    pub home: String,
    /// Whether the customer was deleted: the record is not shown.
    pub is_tombstoned: bool,
    /// Whether the record has no row, because a create that has not ended may have made it: it is not shown until the create
    /// has ended.
    pub is_held: bool,
    /// When a copy made the row, in milliseconds since 1970. `None`: no copy did.
    pub copied_at: Option<i64>,
    /// When a copy of the customer was last noted, at any connection; 0: never.
    pub noted_at: i64,
}

impl AdoptedId {
    /// Whether the record is shown.
    pub const fn is_shown(&self) -> bool {
        !self.is_tombstoned && !self.is_held
    }
}

/// How it is known that the first copy of a customer is complete. The versions do not say it: both are 0 before it as well as
/// after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyComplete {
    /// The caller has just completed a copy.
    ByCaller,
    /// The record of the open switch must say that the customer was copied.
    ByRecord,
}

/// How a customer came to be at a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdOrigin {
    /// It was known there before any copy.
    #[default]
    First,
    /// A copy made it.
    Created,
    /// It was matched with a record that was there.
    Linked,
}

impl IdOrigin {
    /// The word of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Created => "created",
            Self::Linked => "linked",
        }
    }

    /// The origin that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::First, Self::Created, Self::Linked].into_iter().find(|origin| origin.as_str() == word)
    }
}

/// How far the deletion of a customer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is claimed: nothing is copied. A definite failure lifts it.
    Claimed,
    /// It happened. That stays for ever.
    Confirmed,
}

impl Deletion {
    /// The word of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Confirmed => "confirmed",
        }
    }

    /// The state that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Claimed, Self::Confirmed].into_iter().find(|deletion| deletion.as_str() == word)
    }
}

/// A customer at one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdAt {
    /// The id there.
    pub provider_id: String,
    /// How the customer came to be there.
    pub origin: IdOrigin,
    /// When a copy made this row, in milliseconds since 1970. `None`: no copy did.
    pub copied_at: Option<i64>,
}

/// A customer, with its id at every connection that holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownCustomer {
    /// The id that the merchant knows.
    pub public_id: String,
    /// Where the customer stays whichever connection is active.
    pub pinned: Option<String>,
    /// The ids by the names of the connections.
    pub at: HashMap<String, IdAt>,
    /// How many claims and ends of writes there were.
    pub version: u64,
    /// The version that the other side reflects.
    pub copied_version: u64,
    /// When the last write ended, in milliseconds since 1970. 0: there was none.
    pub written_at: i64,
    /// How far its deletion has come.
    pub deletion: Option<Deletion>,
    /// Since when it is not found at its home, in milliseconds since 1970.
    pub gone_at: Option<i64>,
    /// Until when its claims wait, in milliseconds since 1970. 0: they do not.
    pub held_until: i64,
    /// What its home showed in the answer to its last write, as keyed hashes. One byte while a write is open; empty where it is
    /// not known, because writes overlapped or the last answer was lost.
    pub shown: Vec<u8>,
    /// Since when its home answers its id with another customer's record, in milliseconds since 1970.
    pub merged_at: Option<i64>,
}

impl KnownCustomer {
    /// Whether its deletion is confirmed: nothing is sent for it any more, and it is not shown.
    pub fn is_tombstoned(&self) -> bool {
        self.deletion == Some(Deletion::Confirmed)
    }

    /// Whether it was written since it was copied.
    pub const fn is_marked(&self) -> bool {
        self.version > self.copied_version
    }

    /// The connection where it lives.
    pub fn home<'a>(&'a self, routing: &'a Routing) -> &'a str {
        self.pinned.as_deref().unwrap_or(&routing.connection)
    }

    /// Its id at a connection.
    pub fn id_at(&self, connection: &str) -> Option<&str> {
        self.at.get(connection).map(|at| at.provider_id.as_str())
    }
}

/// What an id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The merchant's routing.
    pub routing: Routing,
    /// The customers that the id names: the one whose public id it is, otherwise those who have it at a connection.
    pub customers: Vec<KnownCustomer>,
}

/// Counts of a merchant's customers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdCounts {
    /// How many are pinned, by connection.
    pub pinned: HashMap<String, u64>,
    /// How many live at a connection that is not active, and do not move by themselves: they are refused, undecided, in doubt,
    /// left or gone. Only counted in a switch.
    pub staying: u64,
    /// How many are marked.
    pub marked: u64,
    /// The oldest end of a write among the marked ones, in milliseconds since 1970.
    pub oldest_mark: Option<i64>,
}

/// What is kept of a copy.
#[derive(Debug, Clone)]
pub struct CopyState<'c> {
    /// The customer.
    pub public_id: &'c str,
    /// The version that the other side reflects.
    pub version: u64,
    /// The other side.
    pub connection: &'c str,
    /// The id there.
    pub provider_id: &'c str,
    /// How the gateway came to know the record.
    pub origin: IdOrigin,
    /// What both sides have in common: it is kept with the row of the other side.
    pub seen: Vec<u8>,
    /// The home, and what is kept with its row. A later switch may come back to it when the other row has changed.
    pub home: Option<(&'c str, Vec<u8>)>,
}

impl<'c> CopyState<'c> {
    /// The record that a copy made at `connection` of a customer who was not written since the switch began.
    pub const fn created(public_id: &'c str, connection: &'c str, provider_id: &'c str) -> Self {
        let origin = IdOrigin::Created;
        Self { public_id, version: 0, connection, provider_id, origin, seen: Vec::new(), home: None }
    }
}
