//! The words of switches. They are the same in JSON, in queries, in files and on the command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares an enumeration whose words are the same in JSON, in queries and in files.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $( $(#[$doc])* $variant, )*
        }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// The word in documents and files.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// Reads the word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// How far a switch is.
    SwitchState {
        /// The gateway reads both sides.
        Planning = "planning",
        /// The plan is complete. Nothing was changed at a provider.
        Planned = "planned",
        /// Customers are being copied.
        Copying = "copying",
        /// Every customer of the source was copied once. Changes are copied all the time.
        Copied = "copied",
        /// The target is active. Changes are copied back.
        Switched = "switched",
        /// The switch has ended. The ids stay.
        Completed = "completed",
        /// The switch was ended before the target became active.
        Abandoned = "abandoned",
        /// The plan could not be made.
        Failed = "failed",
    }
}

impl SwitchState {
    /// Whether the switch still occupies its merchant.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Completed | Self::Abandoned | Self::Failed)
    }
}

words! {
    /// Why a switch makes no progress.
    BlockedCode {
        /// A provider says that it received too many requests.
        ProviderRateLimited = "provider_rate_limited",
        /// A provider cannot be reached, or fails.
        ProviderUnavailable = "provider_unavailable",
        /// A provider refuses the credentials.
        CredentialsRefused = "credentials_refused",
        /// The store cannot be read or written.
        StoreUnavailable = "store_unavailable",
        /// Only records are left that a person must decide about.
        DecisionNeeded = "decision_needed",
        /// The `rate_limit` of a connection is used up: live traffic goes first.
        TargetRate = "target_rate",
        /// Too many customers are missing at the source at once.
        SourceVanished = "source_vanished",
        /// The operator stopped it.
        Stopped = "stopped",
    }
}

impl BlockedCode {
    /// Whether only a person can end the stall. All others end when the provider or the store is back.
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::DecisionNeeded | Self::SourceVanished | Self::Stopped | Self::CredentialsRefused)
    }
}

words! {
    /// What became of a record.
    Outcome {
        /// It was not copied yet.
        Pending = "pending",
        /// The switch created it at the other side.
        Created = "created",
        /// It was matched with a record that was at the other side before.
        Linked = "linked",
        /// It was linked before this switch.
        AlreadyLinked = "already_linked",
        /// The other side cannot hold it.
        Refused = "refused",
        /// A person must decide.
        NeedsDecision = "needs_decision",
        /// It is not known yet whether the last write was executed.
        InDoubt = "in_doubt",
        /// The operator decided to leave it where it is.
        Left = "left",
        /// The customer was deleted.
        Deleted = "deleted",
        /// The provider does not show the customer any more.
        Gone = "gone",
    }
}

words! {
    /// How serious a finding is.
    Level {
        /// Nothing can be copied before this is resolved.
        Blocker = "blocker",
        /// This record needs an action.
        Action = "action",
        /// Nothing has to be done.
        Info = "info",
    }
}

words! {
    /// What the operator decided about a record.
    DecisionKind {
        /// Create a record at the other side.
        Create = "create",
        /// Link it with the record that `link_id` names.
        Link = "link",
        /// Leave the customer where it is.
        Leave = "leave",
    }
}

words! {
    /// The kind of a document.
    SwitchObject {
        /// A switch.
        Switch = "switch",
    }
}

words! {
    /// The kind of a document.
    SwitchRecordObject {
        /// What became of one record.
        SwitchRecord = "switch_record",
    }
}

words! {
    /// The kind of a document.
    ListObject {
        /// A list.
        List = "list",
    }
}

words! {
    /// The kind of a document.
    StepsObject {
        /// The steps of a command that was not executed.
        SwitchSteps = "switch_steps",
    }
}

words! {
    /// The commands that change a switch, and that can be tried without changing anything.
    CommandName {
        /// Copies customers.
        Run = "run",
        /// Makes the target active.
        Cutover = "cutover",
        /// Makes the source active again.
        Rollback = "rollback",
        /// Ends the switch.
        Complete = "complete",
        /// Ends the switch before the target became active.
        Abandon = "abandon",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_same_in_json_and_everywhere_else() {
        fn check<T: Copy + Serialize>(values: &[T], word: impl Fn(T) -> &'static str) {
            for value in values {
                assert_eq!(serde_json::to_value(value).expect("JSON"), word(*value));
            }
        }
        check(SwitchState::ALL, SwitchState::as_str);
        check(BlockedCode::ALL, BlockedCode::as_str);
        check(Outcome::ALL, Outcome::as_str);
        check(Level::ALL, Level::as_str);
        check(DecisionKind::ALL, DecisionKind::as_str);
        check(CommandName::ALL, CommandName::as_str);
        check(SwitchObject::ALL, SwitchObject::as_str);
        check(SwitchRecordObject::ALL, SwitchRecordObject::as_str);
        check(ListObject::ALL, ListObject::as_str);
        check(StepsObject::ALL, StepsObject::as_str);
    }
}
