//! The configuration file and the routing row. The row is the truth for a merchant who has one. A reload in which `active`
//! changes to the other side of an open switch is a cutover or a rollback, through the same gate. A start never is one,
//! because a replica may have an old file.

use super::{
    Switches,
    service::{Decided, Refused, RefusedKind, SwitchService},
    show::shown_state,
    view::Reason,
};
use crate::{
    merchant::{Gateway, Merchant},
    store::Routing,
};

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
            reasons.extend(changed(&before, merchant, &routing));
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
            match *now == switch.to {
                true => self.cutover(&open.id, Vec::new(), decided).await?,
                false => self.rollback(&open.id, Vec::new(), decided).await?,
            };
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

    /// The connections that the store names and the configuration lacks.
    async fn missing(&self, merchant: &Merchant, routing: &Routing) -> Result<Vec<Reason>, Refused> {
        let counts = self.context.store.ids().counts(&merchant.name).await?;
        let mut named: Vec<&String> = counts.pinned.keys().chain([&routing.connection]).collect();
        named.extend(routing.open.as_ref().map(|open| &open.other));
        named.sort();
        named.dedup();
        let missing = named.into_iter().filter(|name| !merchant.connections.contains_key(*name));
        let reason = |name: &String| Reason {
            code: "connection_needed".to_owned(),
            detail: format!(
                "merchants.{0}.connections.{name}: customers of `{0}` live at this connection; keep it in the file",
                merchant.name
            ),
        };
        Ok(missing.map(reason).collect())
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

/// Connections that have another provider or mode than before.
fn changed(before: &Gateway, merchant: &Merchant, routing: &Routing) -> Vec<Reason> {
    let names = [Some(&routing.connection), routing.open.as_ref().map(|open| &open.other)];
    let differs = |name: &&String| match (before.connection(&merchant.name, name), merchant.connections.get(*name)) {
        (Some((_, before)), Some(now)) => before.manifest.name != now.manifest.name || before.livemode != now.livemode,
        _ => false,
    };
    let reason = |name: &String| Reason {
        code: "connection_changed".to_owned(),
        detail: format!(
            "merchants.{}.connections.{name}: its customers are records of another provider or mode; add a connection \
             with another name instead",
            merchant.name
        ),
    };
    names.into_iter().flatten().filter(differs).map(reason).collect()
}

fn refuse(reasons: Vec<Reason>) -> Result<(), Refused> {
    if reasons.is_empty() {
        return Ok(());
    }
    let details: Vec<&str> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    Err(Refused::new(RefusedKind::NotAllowed, details.join("; ")).because(reasons))
}
