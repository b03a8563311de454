//! What must be true at the end of a switch, whatever was killed: from the records and the logs of the twins, and from
//! the store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use jiff::Timestamp;
use passerelle::{
    store::{KnownCustomer, State, Store},
    twin::log::email_hash,
};
use serde_json::Value;

use super::{
    bed::{Bed, records_at, routing},
    clients::Known,
};
use crate::bed::Twin;

/// When the operator changed the active connection, as seen from outside: before the command was sent, and after its
/// effect was seen.
pub(crate) struct Flips {
    pub(crate) cutover: [Timestamp; 2],
    pub(crate) rollback: [Timestamp; 2],
}

/// What was found, for the measured figures.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    customers: usize,
    deleted: usize,
    refused: usize,
    effects: usize,
    copies: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { customers, deleted, refused, effects, copies } = self;
        write!(
            formatter,
            "{customers} customers, {deleted} of them deleted, {refused} refused; {effects} creates at the providers, at \
             most one for each customer and side; {copies} copies kept"
        )
    }
}

struct Side {
    name: &'static str,
    /// By the id at the provider.
    records: HashMap<String, Value>,
}

impl Side {
    async fn of(name: &'static str, twin: &Twin) -> Self {
        let records = records_at(twin).await;
        let id =
            |record: &Value| record["provider"]["id"].as_str().or(record["id"].as_str()).expect("an id").to_owned();
        Self { name, records: records.into_iter().map(|record| (id(&record), record)).collect() }
    }

    /// How many records have an e-mail address.
    fn count(&self, email: &str) -> usize {
        self.records.values().filter(|record| record["email"] == email).count()
    }
}

/// Checks everything. The switch is quiet, and its source is active again.
pub(crate) async fn check(bed: &Bed, customers: &[Known], flips: &Flips) -> Figures {
    let excused: BTreeMap<String, String> = bed.operator.records().await.into_iter().filter_map(excuse).collect();
    for known in customers {
        crate::bed::until("the customer is read", async || known.read(&bed.client).await.then_some(())).await;
    }
    let store = bed.store().await;
    let sides = [Side::of("main", &bed.main).await, Side::of("new", &bed.new).await];
    let mut wrong = Vec::new();
    let rows = all(&store).await;
    let active = routing(&store).await;
    assert_eq!(active.connection, "main", "{active:?}");
    let by_id: HashMap<&str, &KnownCustomer> = rows.iter().map(|row| (&*row.public_id, row)).collect();
    let mut figures = Figures { customers: customers.len(), ..Figures::default() };
    for known in customers {
        let counts = [0, 1].map(|side| sides[side].count(&known.email));
        let Some(row) = by_id.get(&*known.id) else {
            // A customer who was deleted before the switch leaves nothing.
            match known.is_deleted && counts == [0, 0] {
                true => figures.deleted += 1,
                false => wrong.push(format!("{known:?} has no row, and stands {counts:?} times")),
            }
            continue;
        };
        if known.is_deleted {
            figures.deleted += 1;
            if !row.is_tombstoned() || sides[usize::from(row.home(&active) == "new")].count(&known.email) > 0 {
                wrong.push(format!("{known:?} was deleted, and stands {counts:?} times: {row:?}"));
            }
            continue;
        }
        for (side, count) in sides.iter().zip(counts) {
            let excuse = excused.get(&known.id);
            let is_home = row.home(&active) == side.name;
            let record = row.id_at(side.name).and_then(|id| sides_record(side, id));
            match record {
                Some(record) if count == 1 => {
                    if record["phone"] != *known.phone && (is_home || excuse.is_none()) {
                        wrong.push(format!("{known:?} at `{}`: {record}; {row:?} {excuse:?}", side.name));
                    }
                }
                None if !is_home && count == 0 && excuse.is_some() => figures.refused += 1,
                _ => wrong.push(format!("{known:?} has {count} records at `{}`: {row:?} {excuse:?}", side.name)),
            }
        }
    }
    for (side, twin) in sides.iter().zip([&bed.main, &bed.new]) {
        let owners: BTreeSet<&str> = rows.iter().filter_map(|row| row.id_at(side.name)).collect();
        let created = twin.created();
        let unowned = created
            .values()
            .flatten()
            .filter(|effect| sides_record(side, &effect.customer).is_some() && !owners.contains(&*effect.customer));
        wrong.extend(unowned.map(|effect| format!("`{}` has {}, and no row names it", side.name, effect.customer)));
        for known in customers {
            let effects = created.get(&email_hash(&known.email)).map_or(0, Vec::len);
            if effects > 1 {
                wrong.push(format!("{known:?} was created {effects} times at `{}`", side.name));
            }
        }
        figures.effects += created.values().map(Vec::len).sum::<usize>();
    }
    writes(&store, &rows, flips, &mut figures, &mut wrong).await;
    drop(store);
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), customers.len(), wrong.join("\n"));
    figures
}

fn sides_record<'s>(side: &'s Side, id: &str) -> Option<&'s Value> {
    side.records.get(id)
}

/// Why a customer may lack a record at the other side.
fn excuse(record: Value) -> Option<(String, String)> {
    let outcome = record["outcome"].as_str()?;
    let code = record["code"].as_str();
    let is_excused = matches!(outcome, "refused" | "needs_decision") && code.is_some();
    is_excused.then(|| Some((record["public_id"].as_str()?.to_owned(), format!("{outcome}: {}", record["detail"]))))?
}

async fn all(store: &Store) -> Vec<KnownCustomer> {
    let mut all: Vec<KnownCustomer> = Vec::new();
    loop {
        let after = all.last().map(|last| last.public_id.clone());
        let page = store.ids().all("acme", after.as_deref(), 500).await.expect("read");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The writes of clients went to the home of their customer: to `main`, then to `new`, then to `main` again, each customer
/// at a moment of its own after the flip. New customers followed the flip itself.
async fn writes(store: &Store, rows: &[KnownCustomer], flips: &Flips, figures: &mut Figures, wrong: &mut Vec<String>) {
    let mut owner: HashMap<(&str, &str), &str> = HashMap::new();
    for row in rows {
        for (connection, at) in &row.at {
            if let Some(other) = owner.insert((connection, &at.provider_id), &row.public_id) {
                wrong.push(format!("{} and {other} share {} at `{connection}`", row.public_id, at.provider_id));
            }
        }
    }
    let (mut after, mut sequences) = (None, BTreeMap::<&str, Vec<(Timestamp, String)>>::new());
    loop {
        let page = store.operations().list(Some("acme"), None, after, 500).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for write in page {
            if write.state == State::Sending {
                wrong.push(format!("a write is still being sent: {write:?}"));
            }
            if write.is_copy {
                figures.copies += 1;
                continue;
            }
            let at = write.created_at;
            let [before, seen] = flips.cutover;
            let [before_rollback, seen_rollback] = flips.rollback;
            let misplaced = match (&*write.connection, &*write.operation) {
                ("new", _) if at < before => true,
                ("new", "create") => at > seen_rollback,
                ("main", "create") => at > seen && at < before_rollback,
                _ => false,
            };
            if misplaced {
                wrong.push(format!("the write of a client went to the wrong side: {write:?}"));
            }
            let customer = write.customer.as_deref().unwrap_or_default();
            if let Some(owner) = owner.get(&(&*write.connection, customer)) {
                sequences.entry(owner).or_default().push((at, write.connection.clone()));
            }
        }
    }
    for (public_id, mut sequence) in sequences {
        sequence.sort();
        let mut connections: Vec<&str> = sequence.iter().map(|(_, connection)| &**connection).collect();
        connections.dedup();
        if !matches!(connections[..], ["main" | "new"] | ["main", "new"] | ["new", "main"] | ["main", "new", "main"]) {
            wrong.push(format!("the writes to {public_id} went to {connections:?}"));
        }
    }
}
