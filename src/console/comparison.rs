//! Compares what two providers support, side by side, from their manifests: what a merchant would lose by a switch.

use serde::Serialize;

use crate::capabilities::{FieldView, FilterView, OperationSupport, ProviderView};

/// What becomes of a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// Only the present provider has it.
    Lost,
    /// Both have it, and only one of them by itself.
    Differs,
    /// Only the other provider has it.
    Gained,
    /// Both have it alike.
    Same,
    /// Neither has it.
    Neither,
}

impl Change {
    fn between(now: &str, then: &str) -> Self {
        match (now == "none", then == "none") {
            (true, true) => Self::Neither,
            (false, true) => Self::Lost,
            (true, false) => Self::Gained,
            (false, false) if now == then => Self::Same,
            (false, false) => Self::Differs,
        }
    }

    /// The word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Differs => "differs",
            Self::Gained => "gained",
            Self::Same => "same",
            Self::Neither => "neither",
        }
    }

    /// The class of its tag.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Lost => "bad",
            Self::Differs => "warn",
            Self::Gained => "good",
            Self::Same | Self::Neither => "",
        }
    }
}

/// One capability of both.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// Its name: an operation, or a field with what is done to it.
    pub(super) what: String,
    /// How the present provider supports it.
    pub(super) now: &'static str,
    /// How the other one does.
    pub(super) then: &'static str,
    /// What becomes of it.
    pub(super) change: Change,
    /// How the other one emulates it, or why it does not support it.
    pub(super) reason: Option<&'static str>,
}

impl Compared {
    /// The last word of its name: the field.
    fn subject(&self) -> &str {
        self.what.rsplit(' ').next().unwrap_or_default()
    }

    /// The first word of its name: what is done to the field.
    fn action(&self) -> &str {
        self.what.split(' ').next().unwrap_or_default()
    }
}

/// Two providers side by side.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// The other provider.
    pub(super) against: &'static str,
    /// The generation of its API.
    pub(super) generation: &'static str,
    /// How many capabilities would be lost.
    pub(super) lost: usize,
    /// The operations.
    pub(super) operations: Vec<Compared>,
    /// The fields of customers, by what is done to them.
    pub(super) fields: Vec<Compared>,
    /// The filters of lists, and the look-ups.
    pub(super) finding: Vec<Compared>,
}

impl Comparison {
    /// Compares the present provider with another one.
    pub(super) fn of(now: &ProviderView, then: &ProviderView) -> Self {
        let operations = now.operations.iter().zip(&then.operations).map(operation).collect();
        let fields = now.fields.iter().zip(&then.fields).flat_map(field).collect();
        let filters = now.filters.iter().zip(&then.filters).map(|pair| filter("list by", pair));
        let lookups = now.lookups.iter().zip(&then.lookups).map(|pair| filter("look up by", pair));
        let mut comparison = Self {
            against: then.name,
            generation: then.generation,
            lost: 0,
            operations,
            fields,
            finding: filters.chain(lookups).collect(),
        };
        comparison.lost = comparison.all().filter(|compared| compared.change == Change::Lost).count();
        comparison
    }

    fn all(&self) -> impl Iterator<Item = &Compared> {
        self.operations.iter().chain(&self.fields).chain(&self.finding)
    }

    /// What would be lost, shortly: a field once, with what is lost of it unless that is everything.
    pub(super) fn losses(&self) -> Vec<String> {
        let lost = |one: &&Compared| one.change == Change::Lost;
        let whole = |one: &Compared| one.what.clone();
        let fields = self.fields.chunk_by(|one, next| one.subject() == next.subject()).filter_map(|actions| {
            let lost: Vec<&Compared> = actions.iter().filter(lost).collect();
            let field = lost.first()?.subject();
            let had = actions.iter().filter(|one| one.now != "none").count();
            let actions: Vec<&str> = lost.iter().map(|one| one.action()).collect();
            Some(if lost.len() == had { field.to_owned() } else { format!("{field} ({})", actions.join(", ")) })
        });
        let operations = self.operations.iter().filter(lost).map(whole);
        operations.chain(fields).chain(self.finding.iter().filter(lost).map(whole)).collect()
    }

    /// The tables of the comparison, with their titles.
    pub(super) fn tables(&self) -> [(&'static str, &'static str, &[Compared]); 3] {
        [
            ("Operations", "operations", &self.operations),
            ("Fields", "fields", &self.fields),
            ("Lists and look-ups", "finding", &self.finding),
        ]
    }
}

fn compared(what: String, [now, then]: [&'static str; 2], reason: Option<&'static str>) -> Compared {
    let change = Change::between(now, then);
    // A reason of one side says nothing where both are alike.
    let reason = reason.filter(|_| !matches!(change, Change::Same | Change::Neither));
    Compared { what, now, then, change, reason }
}

fn operation((now, then): (&OperationSupport, &OperationSupport)) -> Compared {
    compared(now.operation.to_owned(), [now.support, then.support], then.reason)
}

fn field((now, then): (&FieldView, &FieldView)) -> [Compared; 3] {
    let one = |action: &str, supports| compared(format!("{action} {}", now.field), supports, then.reason);
    [
        one("create with", [now.create, then.create]),
        one("update", [now.update, then.update]),
        one("read", [now.read, then.read]),
    ]
}

fn filter(action: &str, (now, then): (&FilterView, &FilterView)) -> Compared {
    compared(format!("{action} {}", now.parameter), [now.answered_by, then.answered_by], then.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::manifests_of;

    #[test]
    fn what_only_the_present_provider_has_is_lost_and_the_way_back_gains_it() {
        let view = |name: &str| ProviderView::from(*manifests_of(name).first().expect("a manifest"));
        let (lomi, bitnob) = (view("lomi"), view("bitnob"));
        let (there, back) = (Comparison::of(&lomi, &bitnob), Comparison::of(&bitnob, &lomi));
        let changes = |comparison: &Comparison, change| comparison.all().filter(|one| one.change == change).count();
        assert!(there.lost > 0 && changes(&back, Change::Gained) == there.lost, "{:?}", there.losses());
        let losses = there.losses();
        for loss in ["delete", "whatsapp", "address.city"] {
            assert!(losses.iter().any(|known| known == loss), "{loss}: {losses:?}");
        }
        assert!(losses.len() < there.lost, "a field is named once: {losses:?}");
        assert_eq!(Comparison::of(&lomi, &lomi).lost, 0);
        assert_eq!(Change::between("native", "emulated"), Change::Differs);
        assert_eq!(Change::between("none", "none"), Change::Neither);
    }
}
