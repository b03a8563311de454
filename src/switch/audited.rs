//! Each command of an operator is in the audit: who gave it, what it was, and from which state and epoch the switch went to
//! which. One record comes before anything changes, so that no command changes a switch without one; the other one says how
//! the command ended. They have no values of customers.

use std::future::Future;

use serde_json::{Value, json};

use super::{
    Switches,
    progress::parse_rate,
    service::{Accepted, Decision, Refused},
    show::shown_state,
    view::SwitchView,
};
use crate::store::{CommandRecord, Event, OperationId, Switch};

tokio::task_local! {
    /// The name of the operator's key.
    static OPERATOR: String;
}

/// Executes commands in the name of an operator.
pub async fn acting_as<F: Future>(operator: String, commands: F) -> F::Output {
    OPERATOR.scope(operator, commands).await
}

/// A command, as the audit names it.
struct Audited {
    id: OperationId,
    merchant: String,
    connection: String,
    command: &'static str,
    detail: Value,
}

impl Audited {
    fn of(merchant: &str, connection: &str, command: &'static str) -> Self {
        // The API names the operator; a caller inside the process need not.
        let by = OPERATOR.try_with(Clone::clone).unwrap_or_else(|_| "gateway".to_owned());
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        Self { id: OperationId::now(), merchant, connection, command, detail: json!({ "by": by }) }
    }

    fn record(&self, event: Event) -> CommandRecord {
        CommandRecord {
            id: self.id,
            event,
            merchant: self.merchant.clone(),
            connection: self.connection.clone(),
            command: format!("switch.{}", self.command),
            detail: self.detail.to_string(),
        }
    }
}

impl Switches {
    /// Executes a command about a switch.
    pub(super) async fn audited(
        &self,
        id: &str,
        command: &'static str,
        options: Value,
        work: impl Future<Output = Result<SwitchView, Refused>> + Send,
    ) -> Result<SwitchView, Refused> {
        let before = self.settled(id).await?.switch;
        let mut audited = Audited::of(&before.merchant, &before.to, command);
        audited.detail["switch"] = json!(before.id);
        audited.detail["from"] = place(&before);
        if !options.is_null() {
            audited.detail["options"] = options;
        }
        let to = |view: &SwitchView| json!({ "state": view.state, "epoch": view.epoch });
        self.with_records(audited, work, to).await
    }

    /// Executes a command about a merchant, whose switch begins with the command or is not named by it.
    pub(super) async fn audited_of_merchant<T: Send>(
        &self,
        merchant: &str,
        connection: &str,
        command: &'static str,
        work: impl Future<Output = Result<T, Refused>> + Send,
        to: impl Fn(&T) -> Value + Send,
    ) -> Result<T, Refused> {
        // A name that the request made up is not stored for ever.
        if self.context.gateway.load().connection(merchant, connection).is_none() {
            return Box::pin(work).await;
        }
        let mut audited = Audited::of(merchant, connection, command);
        let newest = self.context.store.switches().of_merchant(merchant).await?;
        if let Some(newest) = newest.filter(|newest| newest.state.is_open()) {
            let before = self.settled(&newest.id).await?.switch;
            audited.detail["switch"] = json!(before.id);
            audited.detail["from"] = place(&before);
        } else if let Some(resolved) = self.context.store.ids().resolve(merchant, None).await? {
            audited.detail["from"] = json!({ "epoch": resolved.routing.epoch });
        }
        self.with_records(audited, work, to).await
    }

    async fn with_records<T: Send>(
        &self,
        mut audited: Audited,
        work: impl Future<Output = Result<T, Refused>> + Send,
        to: impl Fn(&T) -> Value + Send,
    ) -> Result<T, Refused> {
        let log = self.context.store.audit();
        log.command(audited.record(Event::Intent)).await?;
        // Boxed: the future of a command is large.
        let result = Box::pin(work).await;
        let event = match &result {
            Ok(done) => {
                audited.detail["to"] = to(done);
                Event::Done
            }
            Err(refused) => {
                let codes: Vec<&str> = refused.reasons.iter().map(|reason| reason.code.as_str()).collect();
                audited.detail["refused"] =
                    if codes.is_empty() { json!([refused.kind.as_str()]) } else { json!(codes) };
                Event::Failed
            }
        };
        if let Err(error) = log.command(audited.record(event)).await {
            let Audited { merchant, command, .. } = &audited;
            tracing::error!(merchant, command, "the end of a command of the operator is not in the audit: {error}");
        }
        result
    }
}

fn place(switch: &Switch) -> Value {
    json!({ "state": shown_state(switch.state), "epoch": switch.epoch })
}

/// The conditions that an operator accepts. Codes are lower case words; other text of a request is not stored.
pub(super) fn accepted(codes: &Accepted) -> Value {
    const LONGEST: usize = 64;
    const MOST: usize = 50;
    let is_code =
        |code: &&String| code.len() <= LONGEST && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    json!({ "accept": codes.iter().filter(is_code).take(MOST).collect::<Vec<_>>() })
}

/// How many decisions of each kind.
pub(super) fn decisions(decisions: &[Decision]) -> Value {
    let mut counts = serde_json::Map::new();
    for Decision { decision, .. } in decisions {
        let count = counts.entry(decision.as_str()).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap_or_default() + 1);
    }
    json!({ "decisions": counts })
}

/// The limit of requests, if it is one.
pub(super) fn rate(limit: Option<&str>) -> Value {
    json!({ "rate": limit.filter(|limit| parse_rate(limit).is_some()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_accepted_conditions_are_stored() {
        let longest = "x".repeat(64);
        let codes = ["not_verified", "Awa Fall", "awa@example.com", "", &longest, &"x".repeat(65)].map(str::to_owned);
        assert_eq!(accepted(&codes.to_vec()), json!({ "accept": ["not_verified", "", longest] }));
        let many = vec!["pinned".to_owned(); 51];
        assert_eq!(accepted(&many)["accept"].as_array().map(Vec::len), Some(50));
    }
}
