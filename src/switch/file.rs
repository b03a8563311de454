//! The configuration file and the routing row. The row is the truth for a merchant who has one. A reload in which `active`
//! changes to the other side of an open switch is a cutover or a rollback, through the same gate. A start never is one,
//! because a replica may have an old file.

use super::{
    Switches,
    audited::acting_as,
    progress::{Facts, Loaded},
    service::{Decided, Refused, RefusedKind, SwitchService},
    show::shown_state,
    side::{Read, Reader},
    view::Reason,
};
use crate::{
    merchant::{Gateway, Merchant},
    store::{KnownCustomer, Routing, SwitchState},
};

/// The switches of a merchant that are looked at. Each names both of its connections.
const SWITCHES: usize = 100;
/// How many customers of a merchant are searched for those at a connection that has new credentials.
const KNOWN: usize = 100;
/// How many of them are read at most. One that is found is enough.
const READ: usize = 3;

impl Switches {
    /// Refuses a configuration that lacks a connection which the store names (R10), and returns warnings about files that
    /// differ from their row.
    pub async fn check(&self, gateway: &Gateway) -> Result<Vec<String>, Refused> {
        let (mut warnings, mut reasons) = (Vec::new(), Vec::new());
        for merchant in self.routed(gateway) {
            let Some(routing) = self.routing(merchant).await? else { continue };
            reasons.extend(self.missing(merchant, &routing).await?);
            reasons.extend(third(merchant, &routing));
            if merchant.active.name != routing.connection {
                warnings.push(format!(
                    "merchants.{0}.active: the file names `{1}`, and the store says that `{2}` is active since the last \
                     switch; `{2}` serves. Set `active = \"{2}\"`",
                    merchant.name, merchant.active.name, routing.connection
                ));
            }
        }
        refuse(reasons)?;
        Ok(warnings)
    }

    /// Accepts the configuration of a reload. Where it makes the other side of an open switch active, that is a cutover or a
    /// rollback first.
    pub async fn reload(&self, gateway: &Gateway) -> Result<Vec<String>, Refused> {
        let before = self.context.gateway.load_full();
        let mut reasons = Vec::new();
        for merchant in self.routed(gateway) {
            let Some(routing) = self.routing(merchant).await? else { continue };
            reasons.extend(self.missing(merchant, &routing).await?);
            reasons.extend(third(merchant, &routing));
            reasons.extend(self.other_accounts(&before, merchant).await?);
        }
        refuse(reasons)?;
        for merchant in self.routed(gateway) {
            let Some(routing) = self.routing(merchant).await? else { continue };
            let now = &merchant.active.name;
            let was = before.connection(&merchant.name, now).map(|(merchant, _)| merchant.active.name.clone());
            let Some(open) = routing.open.filter(|open| open.other == *now) else { continue };
            if was.as_ref() == Some(now) {
                continue;
            }
            let switch = self.settled(&open.id).await?.switch;
            let decided = Decided { state: shown_state(switch.state), epoch: switch.epoch };
            let command = match *now == switch.to {
                true => self.cutover(&open.id, Vec::new(), decided),
                false => self.rollback(&open.id, Vec::new(), decided),
            };
            acting_as("configuration file".to_owned(), command).await?;
        }
        self.check(gateway).await
    }

    /// The merchants with a routing row.
    fn routed<'g>(&self, gateway: &'g Gateway) -> Vec<&'g Merchant> {
        let mut merchants: Vec<&Merchant> = Vec::new();
        for (merchant, _) in gateway.connections() {
            let is_new = merchants.last().is_none_or(|last| last.name != merchant.name);
            if is_new && self.context.store.ids().is_routed(&merchant.name) {
                merchants.push(merchant);
            }
        }
        merchants
    }

    async fn routing(&self, merchant: &Merchant) -> Result<Option<Routing>, Refused> {
        Ok(self.context.store.ids().resolve(&merchant.name, None).await?.map(|resolved| resolved.routing))
    }

    /// The connections that the store names and the configuration lacks, or has with another provider, generation, address or
    /// mode than their ids are of (R10).
    async fn missing(&self, merchant: &Merchant, routing: &Routing) -> Result<Vec<Reason>, Refused> {
        let counts = self.context.store.ids().counts(&merchant.name).await?;
        let mut named: Vec<&String> = counts.pinned.keys().chain([&routing.connection]).collect();
        named.extend(routing.open.as_ref().map(|open| &open.other));
        named.sort();
        named.dedup();
        let facts = self.facts(merchant).await?;
        let mut reasons = Vec::new();
        for name in named {
            let Some(connection) = merchant.connections.get(name) else {
                let detail = format!(
                    "merchants.{0}.connections.{name}: customers of `{0}` live at this connection; keep it in the file",
                    merchant.name
                );
                reasons.push(Reason { code: "connection_needed".to_owned(), detail });
                continue;
            };
            let known = facts.iter().find(|facts| facts.connection == *name);
            if let Some(key) = known.and_then(|known| known.changed(&Facts::of(connection))) {
                let detail = format!(
                    "merchants.{}.connections.{name}.{key}: it is another one than when the switch was planned, and the ids \
                     in the store are records of that one; set it back, or add a connection with another name",
                    merchant.name
                );
                reasons.push(Reason { code: "connection_changed".to_owned(), detail });
            }
        }
        Ok(reasons)
    }

    /// The connections with new credentials that are those of another account: they do not show a customer whom the gateway
    /// knows there (R10). A provider that cannot be asked says nothing.
    async fn other_accounts(&self, before: &Gateway, merchant: &Merchant) -> Result<Vec<Reason>, Refused> {
        let mut reasons = Vec::new();
        for (name, connection) in &merchant.connections {
            let Some((_, was)) = before.connection(&merchant.name, name) else { continue };
            if was.upstream.has_credentials_of(&connection.upstream) {
                continue;
            }
            let customers = self.context.store.ids().all(&merchant.name, None, KNOWN).await?;
            let is_well = |customer: &&KnownCustomer| customer.deletion.is_none() && customer.gone_at.is_none();
            let known = customers.iter().filter(is_well).filter_map(|customer| customer.id_at(name));
            let reader = Reader { context: &self.context, merchant, connection };
            let mut missing = 0;
            for id in known.take(READ) {
                match reader.record(id).await {
                    Ok(Read::Missing) => missing += 1,
                    Ok(_) => {
                        missing = 0;
                        break;
                    }
                    Err(stalled) => {
                        tracing::warn!(merchant = merchant.name, connection = name, "not compared: {}", stalled.detail);
                        missing = 0;
                        break;
                    }
                }
            }
            if missing > 0 {
                let detail = format!(
                    "merchants.{}.connections.{name}.credentials: the new credentials do not show {missing} of the customers \
                     that the gateway knows there, so they may be those of another account; set the former ones back, or add \
                     a connection with another name",
                    merchant.name
                );
                reasons.push(Reason { code: "account_changed".to_owned(), detail });
            }
        }
        Ok(reasons)
    }

    /// What the connections of a merchant were when its switches were planned, the newest first.
    async fn facts(&self, merchant: &Merchant) -> Result<Vec<Facts>, Refused> {
        let mut facts = Vec::new();
        for switch in self.context.store.switches().list(Some(&merchant.name), None, SWITCHES).await? {
            // A plan that was not run has given no customer an id.
            if !matches!(switch.state, SwitchState::Planning | SwitchState::Planned | SwitchState::Failed) {
                facts.extend(Loaded::try_from(switch)?.settings.sides);
            }
        }
        Ok(facts)
    }
}

/// The file names a connection that is neither active nor the other side.
fn third(merchant: &Merchant, routing: &Routing) -> Option<Reason> {
    let file = &merchant.active.name;
    let is_known = *file == routing.connection || routing.open.as_ref().is_none_or(|open| open.other == *file);
    // Without an open switch, the file of a merchant whose last switch has ended may be an old one.
    (!is_known).then(|| Reason {
        code: "third_connection".to_owned(),
        detail: format!(
            "merchants.{}.active: `{file}` is no side of the open switch; name `{}`",
            merchant.name, routing.connection
        ),
    })
}

fn refuse(reasons: Vec<Reason>) -> Result<(), Refused> {
    if reasons.is_empty() {
        return Ok(());
    }
    let details: Vec<&str> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    Err(Refused::new(RefusedKind::NotAllowed, details.join("; ")).because(reasons))
}
