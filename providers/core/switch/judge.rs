//! What becomes of a record in a switch (R17, R18).

use super::{
    Base, Decision, Finding, FindingCode, Hash, Level, Seen, Sides,
    command::check_block,
    create_command, reference_of, update_command,
    value::{comparable, full_name},
};
use crate::{
    model::{Customer, Field, Operation, manifest::Dedupe},
    text::Text,
};

const NOT_LISTED: &str = "the record that has this value is not in the account's own list";

/// A customer at the side that is read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'c> {
    /// The id that the merchant uses.
    pub public_id: &'c str,
    /// The record at the customer's home.
    pub customer: &'c Customer,
    /// The fields in which another customer of this side, who is not linked yet, has the same value: e-mail, phone, or
    /// metadata for the reference. A record at the other side that matches by such a field matches both customers.
    pub rivals: &'c [Field],
}

impl<'c> Source<'c> {
    /// A customer whose values no other customer has.
    pub const fn new(public_id: &'c str, customer: &'c Customer) -> Self {
        Self { public_id, customer, rivals: &[] }
    }
}

/// A record at the other side that may be the same customer.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c> {
    /// The record.
    pub customer: &'c Customer,
    /// Whether its metadata has the gateway's marker for this customer. The caller has verified the signature.
    pub has_marker: bool,
    /// The customer (public id) that it is linked with already, also by the plan of this switch.
    pub linked_to: Option<&'c str>,
    /// Whether the account's own list shows it. A value that is unique beyond the account may find other records.
    pub is_listed: bool,
}

impl<'c> Candidate<'c> {
    /// A record of the account's own list that is linked with no customer.
    pub const fn new(customer: &'c Customer) -> Self {
        Self { customer, has_marker: false, linked_to: None, is_listed: true }
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A copy creates it.
    Create,
    /// It is linked with a record that stands there. The finding says how it matched.
    Link {
        /// The id at the other side.
        id: Text,
        /// How it matched.
        finding: Finding,
    },
    /// It is linked already.
    AlreadyLinked {
        /// The id at the other side.
        id: Text,
    },
    /// It cannot be copied.
    Refused(Finding),
    /// An operator has to decide.
    NeedsDecision(Finding),
    /// An operator decided not to copy it.
    Left,
}

impl Verdict {
    /// The word of `outcome` and of the counts, before anything is sent.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Link { .. } => "link",
            Self::AlreadyLinked { .. } => "already_linked",
            Self::Refused(_) => "refused",
            Self::NeedsDecision(_) => "needs_decision",
            Self::Left => "left",
        }
    }

    /// The finding, if there is one.
    pub const fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Link { finding, .. } | Self::Refused(finding) | Self::NeedsDecision(finding) => Some(finding),
            Self::Create | Self::AlreadyLinked { .. } | Self::Left => None,
        }
    }
}

impl From<Finding> for Verdict {
    /// The verdict of a finding that stops a copy.
    fn from(finding: Finding) -> Self {
        match finding.level() {
            Level::Blocker => Self::Refused(finding),
            Level::Action | Level::Info => Self::NeedsDecision(finding),
        }
    }
}

/// What becomes of a customer. `candidates` are the records at the other side that may be the same: a caller may pass more
/// than match.
pub fn judge(
    source: &Source<'_>,
    candidates: &[Candidate<'_>],
    sides: &Sides<'_>,
    decision: Option<&Decision>,
) -> Verdict {
    let linked = candidates.iter().find(|candidate| candidate.linked_to == Some(source.public_id));
    if decision == Some(&Decision::Leave) {
        return Verdict::Left;
    }
    if let Some(linked) = linked {
        // The copy asks about that for each customer.
        return match check_block(source.customer, sides, decision) {
            Ok(()) => Verdict::AlreadyLinked { id: linked.customer.id_at_provider().clone() },
            Err(finding) => finding.into(),
        };
    }
    let found = match decision {
        Some(Decision::Link(id)) => decided(id, candidates, sides).map(Some),
        Some(Decision::Create) => Ok(None),
        Some(Decision::Leave) | None => matching(source, candidates, sides),
    };
    match found {
        Ok(Some((candidate, code))) => {
            // The copy would need a decision, too.
            let (nothing, hash): (_, Hash<'_>) = (Seen::default(), &|_| [0; 8]);
            let base = Base { seen: &nothing, hash };
            if let Err(finding) = update_command(source.customer, candidate.customer, base, sides, decision) {
                return finding.into();
            }
            let detail = code.meaning().trim();
            let finding = Finding::new(code, None, detail);
            Verdict::Link { id: candidate.customer.id_at_provider().clone(), finding }
        }
        Ok(None) => match check_unique(source, candidates, sides, decision)
            .and_then(|()| create_command(source.customer, sides, decision))
        {
            Ok(_) => Verdict::Create,
            Err(finding) => finding.into(),
        },
        Err(finding) => finding.into(),
    }
}

/// How many matching records a finding names.
const MOST_NAMED: usize = 5;

/// The record that a decision names.
fn decided<'c>(
    id: &Text,
    candidates: &'c [Candidate<'c>],
    sides: &Sides<'_>,
) -> Result<(&'c Candidate<'c>, FindingCode), Finding> {
    let named = candidates.iter().find(|candidate| candidate.customer.id_at_provider() == id);
    match named {
        None => Err(Finding::new(
            FindingCode::RecordUnknown,
            Some(Field::Id),
            "the decision names a record that the target does not show",
        )),
        Some(named) if named.linked_to.is_some() => Err(Finding::new(
            FindingCode::RecordAlreadyLinked,
            Some(Field::Id),
            "the decision names a record that is linked with another customer",
        )),
        Some(named) if is_unique_everywhere(sides) && !named.is_listed => {
            Err(Finding::new(FindingCode::VendorRecordShared, Some(Field::Id), NOT_LISTED))
        }
        Some(named) => Ok((named, FindingCode::MatchedByDecision)),
    }
}

type Match<'c> = Option<(&'c Candidate<'c>, FindingCode)>;

/// The one record that matches, by the strongest evidence there is.
fn matching<'c>(source: &Source<'_>, candidates: &'c [Candidate<'c>], sides: &Sides<'_>) -> Result<Match<'c>, Finding> {
    let Source { customer: source, rivals, .. } = *source;
    let free = || candidates.iter().filter(|candidate| candidate.linked_to.is_none());
    let same = |field: Field, candidate: &Candidate<'_>| {
        let wanted = comparable(source, field, &sides.from);
        wanted.is_some() && wanted == comparable(candidate.customer, field, &sides.to)
    };
    let same_reference = |candidate: &Candidate<'_>| {
        let value = |customer| sides.reference.and_then(|reference| reference_of(customer, reference));
        let wanted = value(source);
        wanted.is_some() && wanted == value(candidate.customer)
    };
    let marked: Vec<_> = free().filter(|candidate| candidate.has_marker).collect();
    match marked.as_slice() {
        [] => {}
        // The gateway made the record for this customer: what differs was changed since.
        [only] => return Ok(Some((only, FindingCode::MatchedByMarker))),
        _ => return Err(several(None, &marked, sides)),
    }
    let by_email: Vec<_> = free().filter(|candidate| same(Field::Email, candidate)).collect();
    let by_reference = || free().filter(|candidate| same_reference(candidate)).collect::<Vec<_>>();
    let (found, code, field) = if by_email.is_empty() {
        let by_phone: Vec<_> = free().filter(|candidate| same(Field::Phone, candidate)).collect();
        if by_phone.is_empty() {
            (by_reference(), FindingCode::MatchedByReference, Field::Metadata)
        } else {
            // A phone number that a reference confirms is not a match by phone alone.
            match by_phone.as_slice() {
                [only] if same_reference(only) => (by_phone, FindingCode::MatchedByReference, Field::Metadata),
                _ => (by_phone, FindingCode::PhoneOnlyMatch, Field::Phone),
            }
        }
    } else {
        (by_email, FindingCode::MatchedByEmail, Field::Email)
    };
    let only = match found.as_slice() {
        [] => return Ok(None),
        [only] => *only,
        _ => return Err(several(Some(field), &found, sides)),
    };
    if is_unique_everywhere(sides) && !only.is_listed {
        return Err(Finding::new(FindingCode::VendorRecordShared, Some(field), NOT_LISTED));
    }
    if rivals.contains(&field) {
        let detail =
            format!("another customer of {} has the same value as the record {}", sides.from.connection, named(only));
        return Err(Finding::new(FindingCode::SharedMatch, Some(field), detail));
    }
    if let Some(field) = contradiction(source, only.customer, sides) {
        let detail = format!("the record {}, which matches, has another {}", named(only), field.name());
        return Err(Finding::new(FindingCode::ContradictingMatch, Some(field), detail));
    }
    if code == FindingCode::PhoneOnlyMatch {
        let detail = format!("only the phone number is the same as that of the record {}", named(only));
        return Err(Finding::new(code, Some(field), detail));
    }
    Ok(Some((only, code)))
}

/// The id of a record, which a decision can name.
fn named(candidate: &Candidate<'_>) -> String {
    format!("`{}`", candidate.customer.id_at_provider())
}

fn several(field: Option<Field>, found: &[&Candidate<'_>], sides: &Sides<'_>) -> Finding {
    let mut detail = format!("{} records of the target match", found.len());
    // A record outside of the account's list may be another business's.
    if !is_unique_everywhere(sides) || found.iter().all(|candidate| candidate.is_listed) {
        let mut ids: Vec<String> = found.iter().map(|candidate| named(candidate)).collect();
        ids.sort();
        ids.truncate(MOST_NAMED);
        let more = if found.len() > MOST_NAMED { ", …" } else { "" };
        detail.push_str(&format!(": {}{more}", ids.join(", ")));
    }
    Finding::new(FindingCode::SeveralMatches, field, detail)
}

/// A name, an e-mail or a phone that both have and that differs.
fn contradiction(source: &Customer, target: &Customer, sides: &Sides<'_>) -> Option<Field> {
    let value = |customer, field, side| match field {
        Field::Name => full_name(customer),
        _ => comparable(customer, field, side),
    };
    let differs = |field: &Field| {
        let (one, other) = (value(source, *field, &sides.from), value(target, *field, &sides.to));
        one.is_some() && other.is_some() && one != other
    };
    [Field::Name, Field::Email, Field::Phone].into_iter().find(differs)
}

/// Whether a second create with the same e-mail address answers the first record, of whatever account.
fn is_unique_everywhere(sides: &Sides<'_>) -> bool {
    sides.to.manifest().dedupe(Operation::Create) == Some(Dedupe::Unique)
}

/// Refuses to create a record with an e-mail address that the target keeps unique and another record has.
fn check_unique(
    source: &Source<'_>,
    candidates: &[Candidate<'_>],
    sides: &Sides<'_>,
    decision: Option<&Decision>,
) -> Result<(), Finding> {
    if !is_unique_everywhere(sides) {
        return Ok(());
    }
    let wanted = comparable(source.customer, Field::Email, &sides.from);
    let has_it = |candidate: &Candidate<'_>| {
        wanted.is_some() && wanted == comparable(candidate.customer, Field::Email, &sides.to)
    };
    let mut taken = candidates.iter().filter(|candidate| has_it(candidate)).peekable();
    if taken.peek().is_none() {
        if decision.is_some() || wanted.is_none() || !source.rivals.contains(&Field::Email) {
            return Ok(());
        }
        // Only one of the customers can be created, and an operator says which.
        let detail = format!(
            "another customer of `{}` has this value, and `{}` keeps it unique",
            sides.from.connection, sides.to.connection
        );
        return Err(Finding::new(FindingCode::UniqueValueTaken, Some(Field::Email), detail));
    }
    let (code, detail) = match taken.all(|taken| taken.is_listed) {
        true => (
            FindingCode::UniqueValueTaken,
            format!("another record of `{to}` has this value, and `{to}` keeps it unique", to = sides.to.connection),
        ),
        false => (FindingCode::VendorRecordShared, NOT_LISTED.to_owned()),
    };
    Err(Finding::new(code, Some(Field::Email), detail))
}
