//! The bodies of the operator's requests. The commands write them, and the handlers read them.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Number, value::RawValue};
use utoipa::ToSchema;

use crate::{
    openapi::Text,
    switch::service::{Decided, Decision, whole_number},
};

/// Plans a switch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    /// The merchant.
    #[schema(pattern = r"^[^\x00]*$")]
    pub merchant: String,
    /// The connection that becomes active.
    #[schema(pattern = r"^[^\x00]*$")]
    pub to: String,
    /// How many customers the report shows before and after. The default is 20.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    #[schema(maximum = 1000)]
    pub sample: Option<u32>,
}

/// Copies customers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// The state and the epoch that the command was decided on.
    #[serde(deserialize_with = "object")]
    pub decided: Decided,
    /// Copy only this many customers.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub first: Option<u64>,
    /// Copy only these customers, by any id that the merchant knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Text>>, inline)]
    pub only: Option<Vec<String>>,
    /// Copy all customers but these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Text>>, inline)]
    pub except: Option<Vec<String>>,
    /// `true`: answer with the steps, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Makes the target or the source active, or ends the switch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionsBody {
    /// The state and the epoch that the command was decided on.
    #[serde(deserialize_with = "object")]
    pub decided: Decided,
    /// The codes of the conditions that the operator accepts.
    #[serde(default)]
    #[schema(value_type = Vec<Text>, inline)]
    pub accept: Vec<String>,
    /// `true`: answer with the steps, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Ends the switch before the target became active.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbandonBody {
    /// The state and the epoch that the command was decided on.
    #[serde(deserialize_with = "object")]
    pub decided: Decided,
    /// The codes of the conditions that the operator accepts.
    #[serde(default)]
    #[schema(value_type = Vec<Text>, inline)]
    pub accept: Vec<String>,
    /// `true`: delete what the switch created at the target.
    #[serde(default)]
    pub undo: bool,
    /// `true`: answer with the steps, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Compares both sides.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// The state and the epoch that the command was decided on.
    #[serde(deserialize_with = "object")]
    pub decided: Decided,
    /// Compare only this many records, chosen at random.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub sample: Option<u64>,
    /// `true`: compare only whether each record exists.
    #[serde(default)]
    pub ids_only: bool,
    /// `true`: copy records that this switch created again where they differ.
    #[serde(default)]
    pub repair: bool,
}

/// What the operator decided about records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionsBody {
    /// The state and the epoch that the decisions were made on.
    #[serde(deserialize_with = "object")]
    pub decided: Decided,
    /// The decisions: all are taken, or none.
    #[schema(min_items = 1, max_items = 5000)]
    #[serde(deserialize_with = "objects")]
    pub decisions: Vec<Decision>,
}

/// The limit of requests.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateBody {
    /// The most requests, such as `60/min`; `null` for the limit of the connection alone.
    #[schema(
        required,
        pattern = r"^\s*[1-9][0-9]{0,8}\s*/\s*(s|sec|second|m|min|minute|h|hour)\s*$",
        example = "60/min"
    )]
    // serde would take an absent key for `null`, and remove the limit.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    pub limit: Option<String>,
}

/// The active connection after a restored backup.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveBody {
    /// The connection that is really active.
    #[schema(pattern = r"^[^\x00]*$")]
    pub connection: String,
}

/// Reads an object. serde alone would also take an array for one, with the values of its members in their order.
pub(super) fn read_object<T: DeserializeOwned, E: serde::de::Error>(text: &RawValue) -> Result<T, E> {
    match text.get().starts_with('{') {
        true => serde_json::from_str(text.get()).map_err(E::custom),
        false => Err(E::custom("an object is expected")),
    }
}

/// Reads a whole number. JSON does not tell `20` from `20.0`, and some programs write the second.
fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let number = whole_number(&number).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| D::Error::custom("it must be a whole number that is not too large"))
}

fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    read_object(&Box::deserialize(deserializer)?)
}

fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    texts.iter().map(|text| read_object(text)).collect()
}
