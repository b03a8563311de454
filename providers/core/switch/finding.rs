//! The codes of what a switch finds about a record. `docs/switching.md` has a table that is generated from them, so the
//! comments of the codes are written for operators.

use std::{borrow::Cow, fmt};

use crate::model::{Error, Field};

macro_rules! codes {
    ($( $(#[doc = $meaning:literal])+ $code:ident = $name:literal, $level:ident; )*) => {
        /// A stable code of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingCode {
            $( $(#[doc = $meaning])+ $code, )*
        }

        impl FindingCode {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$( Self::$code ),*];

            /// The value of `code` in a record.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$code => $name, )* }
            }

            /// How much it stops.
            pub const fn level(self) -> Level {
                match self { $( Self::$code => Level::$level, )* }
            }

            /// What was found, and what the operator can do.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$code => concat!($($meaning, "\n"),+), )* }
            }
        }
    };
}

codes! {
    /// The customer lacks a field that the target requires of every customer. `limit` is the requirement. Add the field at
    /// the home, or leave the customer.
    RequiredFieldMissing = "required_field_missing", Blocker;
    /// A value is beyond a limit of the target, or the target cannot express it. `limit` says which limit. Change the value
    /// at the home, or leave the customer.
    ValueRefused = "value_refused", Blocker;
    /// The target refused the copy with its own validation. Its words are not kept, because they may repeat values; `field`
    /// is the field that it named. Change the value at the home, or leave the customer.
    ProviderRefused = "provider_refused", Blocker;
    /// The target cannot create customers, and no record there matches. Create the customer at the target by other means,
    /// and plan again.
    TargetCannotCreate = "target_cannot_create", Blocker;
    /// A value is unique beyond the target's account, and the record that has it is not in the account's own list. It may
    /// belong to another business, so nothing of it is kept or shown. Change the value at the home, or leave the customer.
    VendorRecordShared = "vendor_record_shared", Blocker;
    /// The decision links the customer with a record that is linked with another customer. Decide otherwise.
    RecordAlreadyLinked = "record_already_linked", Blocker;
    /// The decision links the customer with a record that the target does not show. Correct the id in the decision.
    RecordUnknown = "record_unknown", Blocker;
    /// Several records at the target match. Decide `link ID` with the right one, or `create`.
    SeveralMatches = "several_matches", Action;
    /// One record at the target matches several customers of the source, such as two customers with one e-mail address.
    /// Decide for each of them: `link ID` for one, `create` for the others.
    SharedMatch = "shared_match", Action;
    /// The only match is by phone number, which families and shops share. Decide `link ID` or `create`.
    PhoneOnlyMatch = "phone_only_match", Action;
    /// A record matches, but its name, e-mail address or phone number is another one. Decide `link ID` or `create`.
    ContradictingMatch = "contradicting_match", Action;
    /// The side that is copied to keeps this value unique, and another customer's record there has it. `detail` names the
    /// connection. Change one of them, or leave the customer.
    UniqueValueTaken = "unique_value_taken", Action;
    /// Customers exchange values that the side that is copied to keeps unique, so none can be copied first. Give one of them
    /// another value, wait for its copy, and then the final value.
    UniqueCycle = "unique_cycle", Action;
    /// The customer is blocked, and the target cannot block: payments there would not be stopped. Decide `create` or
    /// `link ID` to accept that, or `leave`.
    BlockedLost = "blocked_lost", Action;
    /// The field has another value at the other side than the gateway last wrote or read there, so the gateway does not
    /// overwrite it. Decide `link ID` to leave it as it stands, or make both sides equal.
    FieldConflict = "field_conflict", Action;
    /// The field changed at the home, and the other side's API cannot change or clear it. Decide `link ID` to leave the old
    /// value there, or change it by other means.
    FieldNotUpdatable = "field_not_updatable", Action;
    /// The home does not find the customer by its id any more. Nothing is deleted at the other side. Decide `leave`, or delete
    /// the customer through the gateway.
    CustomerGone = "customer_gone", Action;
    /// The other side does not find the customer's record any more, which a copy made or was linked with. Decide `create`
    /// to make the record again, `link ID` with another record, or `leave`.
    CopyMissing = "copy_missing", Action;
    /// The provider answers this customer's id with another customer's record: it has merged the two. Nothing is copied until
    /// a decision.
    RecordMerged = "record_merged", Action;
    /// The record at the target has the gateway's own marker for this customer.
    MatchedByMarker = "matched_by_marker", Info;
    /// One record at the target has the same e-mail address, and nothing contradicts.
    MatchedByEmail = "matched_by_email", Info;
    /// One record at the target has the same reference, and nothing contradicts.
    MatchedByReference = "matched_by_reference", Info;
    /// The customer was deleted, and its record at the other side stays: the provider cannot delete it.
    RecordStays = "record_stays", Info;
    /// The operator decided on this record.
    MatchedByDecision = "matched_by_decision", Info;
    /// The customer is written so often that it could not be moved while its writes waited for `switch.hold`. It stays where it
    /// is, with every write, and is tried again after a minute.
    WrittenTooOften = "written_too_often", Info;
}

/// How much a finding stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The customer is refused: no decision helps but to leave it.
    Blocker,
    /// The customer needs a decision.
    Action,
    /// Nothing is stopped.
    Info,
}

impl Level {
    /// The value of `level` in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::Action => "action",
            Self::Info => "info",
        }
    }
}

/// What was found about a record. It contains no value of the customer.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable code. It decides the level.
    pub code: FindingCode,
    /// The field that it is about.
    pub field: Option<Field>,
    /// The limit or the rule of the provider that was hit.
    pub limit: Option<Cow<'static, str>>,
    /// What happened, for people.
    pub detail: Cow<'static, str>,
}

impl Finding {
    /// A finding.
    pub fn new(code: FindingCode, field: Option<Field>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, field, limit: None, detail: detail.into() }
    }

    /// How much it stops.
    pub const fn level(&self) -> Level {
        self.code.level()
    }

    /// Adds the limit that was hit.
    #[must_use]
    pub(super) fn with_limit(mut self, limit: impl Into<Cow<'static, str>>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// The finding of a copy that the provider refused for certain, so that nothing happened there.
    pub fn refused_by_provider(error: &Error) -> Self {
        let first = error.fields.first();
        let field = first.and_then(|first| field_at(&first.pointer));
        let finding = Self::new(FindingCode::ProviderRefused, field, error.detail.clone());
        match first {
            Some(first) => finding.with_limit(first.detail.clone()),
            None => finding,
        }
    }
}

/// `Debug` leaves the detail out: it may be a provider's message, which may repeat values.
impl fmt::Debug for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.code.as_str())?;
        if let Some(field) = self.field {
            write!(formatter, " ({})", field.name())?;
        }
        Ok(())
    }
}

/// The field that a pointer into a customer names; of `/metadata/key` it is the metadata.
pub(super) fn field_at(pointer: &str) -> Option<Field> {
    let is_at = |field: &Field| {
        pointer.strip_prefix(field.pointer()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    Field::ALL.into_iter().find(is_at)
}

/// The table of the codes in `docs/switching.md`.
pub fn codes_markdown() -> String {
    let mut table = String::from("| code | level | meaning |\n|---|---|---|\n");
    for code in FindingCode::ALL {
        let meaning: Vec<&str> = code.meaning().split_whitespace().collect();
        table.push_str(&format!("| `{}` | {} | {} |\n", code.as_str(), code.level().as_str(), meaning.join(" ")));
    }
    table
}
