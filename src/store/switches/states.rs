//! The states of a switch, and the steps between them.

/// The state of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchState {
    /// Both sides are being read.
    Planning,
    /// The plan can be run.
    Planned,
    /// The plan has failed.
    Failed,
    /// Customers are being copied for the first time.
    Copying,
    /// Every customer has been copied once, and changes reach both sides.
    Copied,
    /// The target is active.
    Switched,
    /// The switch has ended, with the target active.
    Completed,
    /// The switch has ended before the cutover.
    Abandoned,
}

/// What changes the state of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The planner has read both sides.
    Planned,
    /// The planner cannot go on.
    Failed,
    /// The operator begins to copy.
    Run,
    /// The first pass over the source has ended, and nothing is pending.
    Copied,
    /// The target becomes active.
    Cutover,
    /// The source becomes active again.
    Rollback,
    /// The operator ends the switch after the cutover.
    Complete,
    /// The operator ends the switch before the cutover.
    Abandon,
}

impl SwitchState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Planning,
        Self::Planned,
        Self::Failed,
        Self::Copying,
        Self::Copied,
        Self::Switched,
        Self::Completed,
        Self::Abandoned,
    ];

    /// The word of the API and of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::Copying => "copying",
            Self::Copied => "copied",
            Self::Switched => "switched",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the switch goes on. A merchant has at most one that does.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Failed | Self::Completed | Self::Abandoned)
    }

    /// Whether the switch has work for a worker: all open ones do but a plan that waits for the operator.
    pub const fn has_work(self) -> bool {
        matches!(self, Self::Planning | Self::Copying | Self::Copied | Self::Switched)
    }

    /// The state after a step; `None` where the step is not possible.
    pub const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Planning, Step::Planned) => Some(Self::Planned),
            (Self::Planning, Step::Failed) => Some(Self::Failed),
            // `run` after `stop` goes on in the same state.
            (Self::Planned | Self::Copying, Step::Run) => Some(Self::Copying),
            (Self::Copied, Step::Run) | (Self::Copying, Step::Copied) | (Self::Switched, Step::Rollback) => {
                Some(Self::Copied)
            }
            (Self::Switched, Step::Run) | (Self::Copied, Step::Cutover) => Some(Self::Switched),
            (Self::Switched, Step::Complete) => Some(Self::Completed),
            // A plan whose providers do not answer can be abandoned too: nothing has been written.
            (Self::Planning | Self::Planned | Self::Copying | Self::Copied, Step::Abandon) => Some(Self::Abandoned),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 5.1: the whole table. Every pair that is not in it is refused.
    #[test]
    fn the_states_change_as_the_contract_says() {
        use SwitchState as S;
        let possible = [
            (S::Planning, Step::Planned, S::Planned),
            (S::Planning, Step::Failed, S::Failed),
            (S::Planning, Step::Abandon, S::Abandoned),
            (S::Planned, Step::Run, S::Copying),
            (S::Planned, Step::Abandon, S::Abandoned),
            (S::Copying, Step::Run, S::Copying),
            (S::Copying, Step::Copied, S::Copied),
            (S::Copying, Step::Abandon, S::Abandoned),
            (S::Copied, Step::Run, S::Copied),
            (S::Copied, Step::Cutover, S::Switched),
            (S::Copied, Step::Abandon, S::Abandoned),
            (S::Switched, Step::Run, S::Switched),
            (S::Switched, Step::Rollback, S::Copied),
            (S::Switched, Step::Complete, S::Completed),
        ];
        let steps = [
            Step::Planned,
            Step::Failed,
            Step::Run,
            Step::Copied,
            Step::Cutover,
            Step::Rollback,
            Step::Complete,
            Step::Abandon,
        ];
        for state in S::ALL {
            for step in steps {
                let expected = possible.iter().find(|(from, by, _)| (*from, *by) == (state, step));
                assert_eq!(state.after(step), expected.map(|(_, _, to)| *to), "{state:?} after {step:?}");
            }
            assert_eq!(S::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn an_ended_switch_never_changes_and_has_no_work() {
        for state in SwitchState::ALL.into_iter().filter(|state| !state.is_open()) {
            assert!(!state.has_work(), "{state:?}");
            assert_eq!(state.after(Step::Run), None);
        }
    }
}
